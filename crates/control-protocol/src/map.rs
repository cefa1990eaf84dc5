//! The shields that edges are told of.

use serde::{Deserialize, Serialize};

/// The name of the document.
pub const SHIELDS: &str = "shields";

/// A shield, as edges are told; the document is a list of them in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShieldEntry {
    pub id: String,
    pub host: String,
    pub port: u16,
    pub weight: u32,
    /// The link is TLS, with the fleet's certificates; the name that is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
}
