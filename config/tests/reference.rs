//! The reference names every setting, and the commented parts of the example are good too.

use seawall_config::check_files;
use std::fs;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The fields of a table, as the fault about one that is not there lists them.
fn fields_of(header: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.toml");
    let role = match header {
        "[service]" => String::new(),
        _ if header.contains("service") => "[service]\n".to_owned(),
        _ => "role = \"edge\"\n".to_owned(),
    };
    fs::write(&file, format!("{role}{header}\nqqqqqqqqqqqqqqqq = 1\n")).unwrap();
    let (_, faults) = check_files(&[file]);
    let listed = faults
        .iter()
        .find_map(|fault| fault.message.split_once("; there are: "));
    let (_, names) = listed.unwrap_or_else(|| panic!("{header}: {faults:?}"));
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_setting_is_in_the_reference() {
    let reference = fs::read_to_string(repository("docs/reference/configuration.md")).unwrap();
    let names: Vec<&str> = reference
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.rsplit('.').next().unwrap_or(code))
        .map(|name| name.trim_end_matches("[]"))
        .collect();
    // these are described as what they hold
    let groups = [
        "connections",
        "access_log",
        "fleet",
        "admin",
        "service",
        "control_plane",
        "purge",
        "sync",
    ];
    for header in [
        "",
        "[fleet]",
        "[[listen]]",
        "[[listen]]\n[[listen.certificates]]",
        "[[shields]]",
        "[admin]",
        "[control_plane]",
        "[[disks]]",
        "[purge]",
        "[access_log]",
        "[connections]",
        "[service]",
        "[[service.origins]]",
        "[service.limits]",
        "[service.timeouts]",
        "[service.response]",
        "[service.default]",
        "[service.default.key]",
        "[[service.rules]]",
    ] {
        for field in fields_of(header) {
            let told = names.contains(&field.as_str())
                || groups.contains(&field.as_str())
                || reference.contains(&format!("`[service.{field}]`"))
                || reference.contains(&format!("`[[service.{field}]]`"))
                || reference.contains(&format!("`service.{field}[]."))
                || reference.contains(&format!("`service.{field}."))
                || reference.contains(&format!("`[[{field}]]`"))
                || reference.contains(&format!("`{field}."));
            assert!(told, "{header} {field}");
        }
    }
}

#[test]
fn the_commented_parts_of_the_service_example_are_good() {
    let text = fs::read_to_string(repository("config/examples/service.toml")).unwrap();
    let (_, more) = text.split_once("# More that a rule can say:\n").unwrap();
    let setting = |line: &str| line.starts_with('[') || line.contains(" = ");
    let mut all = text.clone();
    for line in more.lines().filter_map(|line| line.strip_prefix("# ")) {
        // the certificate does not come with the sources
        if setting(line) && !line.starts_with("ca =") {
            all.push_str(line);
            all.push('\n');
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("service.toml");
    fs::write(&file, all).unwrap();
    assert_eq!(check_files(&[file]).1, []);
}
