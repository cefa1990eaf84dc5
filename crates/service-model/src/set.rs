//! All services of a node, and finding the one of a host.

use crate::host::{HostPattern, without_port};
use crate::service::Service;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// Why services cannot be in force together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetError {
    #[error("host {host} belongs to service {first} and to service {second}")]
    Host {
        host: String,
        first: String,
        second: String,
    },
    #[error("two services are named {0}")]
    Id(String),
}

/// Services by host: an exact name first, then the longest wildcard, then `*`.
#[derive(Clone, Debug, Default)]
pub struct ServiceSet {
    services: Vec<Arc<Service>>,
    exact: HashMap<Box<[u8]>, usize>,
    below: HashMap<Box<[u8]>, usize>,
    any: Option<usize>,
}

/// A host name has at most this many bytes (RFC 1035 §2.3.4, and room for brackets).
const HOST_BYTES_MAX: usize = 256;

impl ServiceSet {
    pub fn new(services: Vec<Service>) -> Result<Self, SetError> {
        let mut set = Self::default();
        for (index, service) in services.iter().enumerate() {
            if services[..index].iter().any(|other| other.id == service.id) {
                return Err(SetError::Id(service.id.0.to_string()));
            }
            for host in &service.hosts {
                let previous = match host {
                    HostPattern::Exact(name) => set.exact.insert(name.as_bytes().into(), index),
                    HostPattern::Below(name) => set.below.insert(name.as_bytes().into(), index),
                    HostPattern::Any => set.any.replace(index),
                };
                if let Some(first) = previous.filter(|first| *first != index) {
                    return Err(SetError::Host {
                        host: host.to_string(),
                        first: services[first].id.0.to_string(),
                        second: service.id.0.to_string(),
                    });
                }
            }
        }
        set.services = services.into_iter().map(Arc::new).collect();
        Ok(set)
    }

    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The service of `host`, as sent: a port is allowed, and any case. Allocates nothing.
    pub fn find(&self, host: &[u8]) -> Option<&Arc<Service>> {
        let name = without_port(host);
        // a name may end with the root's dot
        let name = name.strip_suffix(b".").unwrap_or(name);
        if name.len() > HOST_BYTES_MAX {
            // no name: a walk over its labels would be work of a size that a stranger chooses
            return self.services.get(self.any?);
        }
        if !name.iter().any(u8::is_ascii_uppercase) {
            return self.find_name(name);
        }
        let mut lower = [0; HOST_BYTES_MAX];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.find_name(lower)
    }

    fn find_name(&self, name: &[u8]) -> Option<&Arc<Service>> {
        let found = self
            .exact
            .get(name)
            .copied()
            .or_else(|| self.find_below(name))
            .or(self.any)?;
        self.services.get(found)
    }

    fn find_below(&self, name: &[u8]) -> Option<usize> {
        if self.below.is_empty() {
            return None;
        }
        let dots = name.iter().enumerate().filter(|(_, b)| **b == b'.');
        dots.map(|(at, _)| &name[at + 1..])
            .find_map(|parent| self.below.get(parent).copied())
    }
}
