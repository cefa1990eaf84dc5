//! Fields that a rule sets or removes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Applied in this order: removals, then settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    pub remove: Vec<HeaderName>,
    pub set: Vec<(HeaderName, HeaderValue)>,
}

impl FieldEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }

    pub fn apply(&self, fields: &mut HeaderMap) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.insert(name, value.clone());
        }
    }
}
