//! Reading a request for a purge, member by member.

use super::ITEMS_MAX;
use crate::api::Refused;
use serde_json::{Map, Value, json};

/// The members of a request, taken one after the other.
pub(super) struct Reader {
    pub(super) members: Map<String, Value>,
    /// Things that may still be named.
    pub(super) left: usize,
}

impl Reader {
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Refused> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                if items.is_empty() {
                    return Err(Refused::field(name, "an empty list names nothing"));
                }
                // before any of them is looked at
                let Some(left) = self.left.checked_sub(items.len()) else {
                    let reason = format!("a purge names at most {ITEMS_MAX} things");
                    return Err(Refused::field(name, reason));
                };
                self.left = left;
                let items = items.into_iter().enumerate();
                let text = |(at, item)| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(Refused::field(
                        format!("{name}[{at}]"),
                        "a text is wanted here",
                    )),
                };
                items.map(text).collect()
            }
            Some(_) => Err(Refused::field(name, "a list of texts is wanted here")),
        }
    }
}

pub(super) fn wrong(name: &str, at: usize, text: &str, why: &str) -> Refused {
    let shown: String = text.chars().take(80).collect();
    Refused::field(format!("{name}[{at}]"), format!("{shown:?}: {why}"))
}

pub(super) fn only_service<'a>(
    ids: impl ExactSizeIterator<Item = &'a String>,
) -> Result<String, Refused> {
    let ids: Vec<&String> = ids.collect();
    match ids.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Refused::field(
            "tags",
            "there is no service that could have tags",
        )),
        several => {
            let reason = "tags are a service's own: say which service";
            Err(Refused::field("service", reason).with("services", json!(several)))
        }
    }
}
