//! Documents of the control plane, read and checked.

use seawall_config::{ShieldEntryModel, read_services};
use seawall_control_protocol::Document;
use seawall_control_protocol::map::{SHIELDS, ShieldEntry};
use seawall_service_model::ServiceSet;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What documents say together.
#[derive(Debug)]
pub struct Pushed {
    pub services: ServiceSet,
    /// `None`: the control plane tells of none, and the node's own file says.
    pub shields: Option<Vec<ShieldEntryModel>>,
}

/// Reads all documents, or says in one line what is wrong.
pub fn read(documents: &BTreeMap<String, Document>) -> Result<Pushed, String> {
    let mut texts = Vec::new();
    let mut shields = None;
    for (name, document) in documents {
        let Some(body) = &document.body else { continue };
        if name.starts_with(seawall_control_protocol::documents::SERVICES) {
            let text = std::str::from_utf8(body).map_err(|_| format!("{name} is no text"))?;
            texts.push((PathBuf::from(name), text.to_owned()));
        } else if name == SHIELDS {
            let entries: Vec<ShieldEntry> = serde_json::from_slice(body)
                .map_err(|error| format!("{name} is no list of shields: {error}"))?;
            shields = Some(entries.into_iter().map(model).collect());
        }
        // what a later version tells besides is nothing that this one must know
    }
    let services = read_services(&texts).map_err(|faults| {
        let first = faults.0.first().map(ToString::to_string);
        first.unwrap_or_else(|| "the services have faults".into())
    })?;
    Ok(Pushed { services, shields })
}

fn model(entry: ShieldEntry) -> ShieldEntryModel {
    ShieldEntryModel {
        id: entry.id,
        host: entry.host,
        port: entry.port,
        weight: entry.weight,
        tls_name: entry.tls_name,
    }
}
