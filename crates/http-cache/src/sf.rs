//! Structured fields (RFC 9651): dictionaries, with items, inner lists, parameters and every bare type in them.
//!
//! As strict as the algorithms of §4.2: a value that breaks one of their rules is no dictionary at all, and its field
//! counts as absent. Reading takes time linear in the value; what is longer or has more parts than the bounds below,
//! which lie where §3 wants them at least, is no dictionary either.

mod bare;

use bare::bare_item;
pub use bare::{BareItem, THOUSANDTHS};

use crate::fields::Fields;

/// Bytes of a field's joined lines.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Members of a dictionary, those whose key comes again included (§3.2 asks for 1024).
pub const MEMBERS_MAX: usize = 1024;

/// Items of an inner list (§3.1.1 asks for 256).
pub const INNER_ITEMS_MAX: usize = 256;

/// Parameters of one item or inner list (§3.1.2 asks for 256).
pub const PARAMETERS_MAX: usize = 256;

/// Keys and what they stand for. Of a key that comes twice the last counts (§4.2.2, §4.2.3.2).
#[derive(Clone, PartialEq, Debug)]
struct Keyed<T>(Vec<(String, T)>);

impl<T> Keyed<T> {
    fn get(&self, key: &str) -> Option<&T> {
        let mut newest = self.0.iter().rev();
        newest.find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// False where there are `max` already.
    fn push(&mut self, key: &[u8], value: T, max: usize) -> bool {
        let room = self.0.len() < max;
        if room {
            // a key is ASCII: nothing is lost
            let key = String::from_utf8_lossy(key).into_owned();
            self.0.push((key, value));
        }
        room
    }
}

/// A bare item with parameters (§3.3).
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// Its value.
    pub value: BareItem,
    parameters: Keyed<BareItem>,
}

impl Item {
    /// A parameter's value (§3.1.2).
    pub fn parameter(&self, key: &str) -> Option<&BareItem> {
        self.parameters.get(key)
    }
}

/// What a key of a dictionary stands for.
#[derive(Clone, PartialEq, Debug)]
pub enum Member {
    /// One item; a key alone is the item `true`.
    Item(Item),
    /// §3.1.1
    Inner(Vec<Item>, InnerParameters),
}

/// The parameters of an inner list as a whole.
#[derive(Clone, PartialEq, Debug)]
pub struct InnerParameters(Keyed<BareItem>);

impl InnerParameters {
    /// A parameter's value (§3.1.2).
    pub fn get(&self, key: &str) -> Option<&BareItem> {
        self.0.get(key)
    }
}

/// §3.2
#[derive(Clone, PartialEq, Debug)]
pub struct Dictionary(Keyed<Member>);

impl Dictionary {
    /// What the key stands for.
    pub fn get(&self, key: &str) -> Option<&Member> {
        self.0.get(key)
    }

    /// The value of a member that is an item, its parameters left aside.
    pub fn item(&self, key: &str) -> Option<&BareItem> {
        match self.get(key)? {
            Member::Item(item) => Some(&item.value),
            Member::Inner(..) => None,
        }
    }

    /// Whether it has no member: what a field is that is there and says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Reads a value (§4.2, §4.2.2).
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > VALUE_BYTES_MAX {
            return None;
        }
        let mut input = Input { rest: value };
        input.skip(|b| b == b' ');
        let dictionary = dictionary(&mut input)?;
        input.rest.is_empty().then_some(dictionary)
    }

    /// Reads a field, its lines joined by commas (§4.2). An absent field is `None`.
    pub fn of_field(fields: &dyn Fields, name: &str) -> Option<Self> {
        fields.first(name)?;
        let mut joined: Vec<u8> = Vec::new();
        let mut lines = 0_usize;
        fields.each(name, &mut |line| {
            if lines > 0 {
                joined.extend_from_slice(b", ");
            }
            lines += 1;
            // one byte too many is all that it takes to be refused
            let room = (VALUE_BYTES_MAX + 1).saturating_sub(joined.len());
            joined.extend_from_slice(&line[..line.len().min(room)]);
        });
        Self::parse(&joined)
    }
}

/// What is left to read.
struct Input<'v> {
    rest: &'v [u8],
}

impl<'v> Input<'v> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Takes the byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        if comes {
            self.rest = &self.rest[1..];
        }
        comes
    }

    /// Takes all bytes up to the first that is none of these.
    fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'v [u8] {
        let end = self.rest.iter().position(|b| !is(*b));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, is: impl Fn(u8) -> bool) {
        self.take_while(is);
    }
}

/// §4.2.2
fn dictionary(input: &mut Input<'_>) -> Option<Dictionary> {
    let is_space = |b| b == b' ' || b == b'\t';
    let mut members = Keyed(Vec::new());
    while !input.rest.is_empty() {
        let key = key(input)?;
        let member = if input.take(b'=') {
            item_or_inner_list(input)?
        } else {
            Member::Item(Item {
                value: BareItem::Boolean(true),
                parameters: parameters(input)?,
            })
        };
        if !members.push(key, member, MEMBERS_MAX) {
            return None;
        }
        input.skip(is_space);
        if input.rest.is_empty() {
            break;
        }
        if !input.take(b',') {
            return None;
        }
        input.skip(is_space);
        if input.rest.is_empty() {
            // a comma behind which nothing comes
            return None;
        }
    }
    Some(Dictionary(members))
}

/// §4.2.3.3
fn key<'v>(input: &mut Input<'v>) -> Option<&'v [u8]> {
    let first = input.peek()?;
    if !first.is_ascii_lowercase() && first != b'*' {
        return None;
    }
    let is_of_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b);
    Some(input.take_while(is_of_key))
}

/// §4.2.1.1
fn item_or_inner_list(input: &mut Input<'_>) -> Option<Member> {
    if input.take(b'(') {
        inner_list(input)
    } else {
        item(input).map(Member::Item)
    }
}

/// §4.2.1.2, behind its opening parenthesis.
fn inner_list(input: &mut Input<'_>) -> Option<Member> {
    let mut items = Vec::new();
    loop {
        input.skip(|b| b == b' ');
        if input.take(b')') {
            return Some(Member::Inner(items, InnerParameters(parameters(input)?)));
        }
        if items.len() == INNER_ITEMS_MAX {
            return None;
        }
        items.push(item(input)?);
        if !matches!(input.peek(), Some(b' ' | b')')) {
            return None;
        }
    }
}

/// §4.2.3
fn item(input: &mut Input<'_>) -> Option<Item> {
    Some(Item {
        value: bare_item(input)?,
        parameters: parameters(input)?,
    })
}

/// §4.2.3.2
fn parameters(input: &mut Input<'_>) -> Option<Keyed<BareItem>> {
    let mut parameters = Keyed(Vec::new());
    while input.take(b';') {
        input.skip(|b| b == b' ');
        let key = key(input)?;
        let value = if input.take(b'=') {
            bare_item(input)?
        } else {
            BareItem::Boolean(true)
        };
        if !parameters.push(key, value, PARAMETERS_MAX) {
            return None;
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests;
