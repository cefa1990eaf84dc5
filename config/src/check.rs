//! Any file, recognised by what it holds.

use crate::control_plane::load_control_plane;
use crate::fault::Fault;
use crate::node::{load_edge, load_shield, services_of};
use crate::reader::Source;
use crate::service::{load_services, read_service};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Edge,
    Shield,
    ControlPlane,
    Service,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Shield => "shield",
            Self::ControlPlane => "control-plane",
            Self::Service => "service",
        }
    }
}

/// Judges `files`, each for itself and those that a node file names together. Returns what each file is, and all faults.
pub fn check_files(files: &[PathBuf]) -> (Vec<(PathBuf, Option<Kind>)>, Vec<Fault>) {
    let mut kinds = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        let kind = recognise(file, &mut faults);
        match kind {
            Some(Kind::Edge) => {
                faults.extend(load_edge(file).err().into_iter().flat_map(|f| f.0));
                check_services(&services_of(file), &mut faults);
            }
            Some(Kind::Shield) => {
                faults.extend(load_shield(file).err().into_iter().flat_map(|f| f.0));
                check_services(&services_of(file), &mut faults);
            }
            Some(Kind::ControlPlane) => {
                let faulty = load_control_plane(file).err();
                faults.extend(faulty.into_iter().flat_map(|f| f.0));
            }
            Some(Kind::Service) => {
                if let Err(found) = read_service(file) {
                    faults.extend(found);
                }
            }
            None => {}
        }
        kinds.push((file.clone(), kind));
    }
    // a service file that several nodes name is judged once
    let mut seen = Vec::new();
    faults.retain(|fault| {
        let new = !seen.contains(fault);
        if new {
            seen.push(fault.clone());
        }
        new
    });
    (kinds, faults)
}

fn check_services(files: &[PathBuf], faults: &mut Vec<Fault>) {
    if let Err(found) = load_services(files) {
        faults.extend(found.0);
    }
}

fn recognise(file: &Path, faults: &mut Vec<Fault>) -> Option<Kind> {
    let source = match Source::read(file) {
        Ok(source) => source,
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    };
    let kind = source.walk_known(|root| {
        if root.has("service") {
            return Some(Kind::Service);
        }
        match root.string_at("role") {
            Some(at) if at.value == "edge" => Some(Kind::Edge),
            Some(at) if at.value == "shield" => Some(Kind::Shield),
            Some(at) if at.value == "control-plane" => Some(Kind::ControlPlane),
            Some(at) => {
                root.fault_at(&at, "a role is \"edge\", \"shield\" or \"control-plane\"");
                None
            }
            None => {
                root.fault(
                    "this is neither a node file (role = ...) nor a service file ([service])",
                );
                None
            }
        }
    });
    faults.extend(source.into_faults());
    kind.flatten()
}
