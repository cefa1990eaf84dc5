//! A typed walk over a TOML file that goes on after a fault, and remembers where everything stood.

use crate::fault::{Fault, Place};
use crate::units::{ByteCount, parse_duration};
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file's text, and the faults found in it so far.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    text: String,
    /// Where lines begin, in bytes; the first is 0.
    lines: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
}

/// Files that are longer are no configuration (4 MiB).
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;

/// Bytes of an id.
const ID_BYTES_MAX: usize = 64;

impl Source {
    /// Reads a file; one that cannot be read is a fault of its own.
    pub fn read(file: &Path) -> Result<Self, Fault> {
        let fault = |message: String| Fault {
            file: file.to_owned(),
            line: None,
            path: String::new(),
            message,
        };
        let length = std::fs::metadata(file)
            .map_err(|e| fault(format!("cannot be read: {e}")))?
            .len();
        if length > FILE_BYTES_MAX {
            return Err(fault(format!(
                "is {length} bytes long, more than a configuration may be"
            )));
        }
        let text =
            std::fs::read_to_string(file).map_err(|e| fault(format!("cannot be read: {e}")))?;
        Ok(Self::of(file, text))
    }

    pub fn of(file: &Path, text: String) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let lines = [0].into_iter().chain(ends.map(|(at, _)| at + 1)).collect();
        Self {
            file: file.to_owned(),
            text,
            lines,
            faults: RefCell::default(),
        }
    }

    /// Parses the text and hands its table to `walk`. With syntax errors there is no walk: what it would say of the
    /// rest would be guesses.
    pub fn walk<T>(&self, walk: impl FnOnce(&Table<'_>) -> T) -> Option<T> {
        self.walk_known(|table| {
            let made = walk(table);
            table.refuse_unknown();
            made
        })
    }

    /// The same for a look that does not ask for every field.
    pub fn walk_known<T>(&self, walk: impl FnOnce(&Table<'_>) -> T) -> Option<T> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        for error in &errors {
            let message = error.message().replace('\n', ", ");
            self.fault(error.span(), String::new(), message);
        }
        if !errors.is_empty() {
            return None;
        }
        let table = Table::new(self, String::new(), root.get_ref(), root.span());
        Some(walk(&table))
    }

    /// In the order of their lines.
    pub fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        faults
    }

    /// Counted from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        self.lines.partition_point(|begin| *begin <= span.start)
    }

    fn fault(&self, span: Option<Range<usize>>, path: String, message: impl Display) {
        let line = span.map(|span| self.line(&span));
        let message = message.to_string();
        self.faults.borrow_mut().push(Fault {
            file: self.file.clone(),
            line,
            path,
            message,
        });
    }
}

/// One table of a file. Each field is read by its name; those that nobody asked for are unknown.
#[derive(Debug)]
pub struct Table<'a> {
    source: &'a Source,
    path: String,
    fields: &'a DeTable<'a>,
    span: Range<usize>,
    known: RefCell<Vec<&'static str>>,
}

/// A value and where it stands, for what is judged later.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    span: Range<usize>,
    path: String,
}

impl<T> At<T> {
    /// Another value at the same place.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: make(self.value),
            span: self.span,
            path: self.path,
        }
    }
}

impl<'a> Table<'a> {
    fn new(source: &'a Source, path: String, table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self {
            source,
            path,
            fields: table,
            span,
            known: RefCell::default(),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn get(&self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(name);
        self.fields
            .iter()
            .find(|(key, _)| key.get_ref() == name)
            .map(|(_, value)| value)
    }

    /// Whether the field is there; it is known from then on.
    pub fn has(&self, name: &'static str) -> bool {
        self.get(name).is_some()
    }

    /// A fault of this table as a whole.
    pub fn fault(&self, message: impl Display) {
        self.source
            .fault(Some(self.span.clone()), self.path.clone(), message);
    }

    /// A fault of a value that was read before.
    pub fn fault_at<T>(&self, at: &At<T>, message: impl Display) {
        self.source
            .fault(Some(at.span.clone()), at.path.clone(), message);
    }

    fn wrong(&self, value: &Spanned<DeValue<'_>>, path: String, wanted: &str) {
        let found = value.get_ref().type_str();
        self.source.fault(
            Some(value.span()),
            path,
            format_args!("{wanted} is wanted here, not {found}"),
        );
    }

    /// Where a value stands, for what is judged after its file has been read.
    pub fn place<T>(&self, at: &At<T>) -> Place {
        Place {
            file: self.source.file.clone(),
            line: self.source.line(&at.span),
            path: at.path.clone(),
        }
    }

    /// A fault of a field that ought to be there; it stands where the table begins.
    pub fn missing(&self, name: &'static str, message: impl Display) {
        let span = Some(self.span.clone());
        self.source.fault(span, self.path_of(name), message);
    }

    pub fn string_at(&self, name: &'static str) -> Option<At<String>> {
        let value = self.get(name)?;
        match value.get_ref().as_str() {
            Some(text) => Some(At {
                value: text.to_owned(),
                span: value.span(),
                path: self.path_of(name),
            }),
            None => {
                self.wrong(value, self.path_of(name), "a text");
                None
            }
        }
    }

    pub fn string(&self, name: &'static str) -> Option<String> {
        self.string_at(name).map(|at| at.value)
    }

    /// A text that must be there, and not be empty.
    pub fn required(&self, name: &'static str) -> Option<At<String>> {
        if !self.has(name) {
            self.missing(name, "this setting is missing");
            return None;
        }
        self.filled(self.string_at(name)?)
    }

    /// A name of something of ours: goes into file names, metrics and fields, and is never quoted there.
    pub fn id(&self, name: &'static str) -> Option<At<String>> {
        let at = self.required(name)?;
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if at.value.len() > ID_BYTES_MAX || !at.value.bytes().all(letter) {
            let wanted = "an id is 1 to 64 letters, digits, dots, dashes or underscores";
            self.fault_at(&at, wanted);
            return None;
        }
        Some(at)
    }

    /// A file or directory; whether it is there is another question.
    pub fn path_at(&self, name: &'static str) -> Option<At<String>> {
        self.filled(self.string_at(name)?)
    }

    /// A file that must be there and be readable now.
    pub fn file(&self, name: &'static str) -> Option<At<String>> {
        let at = self.path_at(name)?;
        self.readable(&at);
        Some(at)
    }

    /// Opens the file that `at` names, and tells where that fails.
    pub fn readable(&self, at: &At<String>) {
        let opened = std::fs::File::open(&at.value).and_then(|file| file.metadata());
        match opened {
            Ok(found) if found.is_dir() => {
                self.fault_at(at, format_args!("{} is a directory", at.value));
            }
            Ok(_) => {}
            Err(error) => {
                self.fault_at(at, format_args!("{} cannot be read: {error}", at.value));
            }
        }
    }

    fn filled(&self, at: At<String>) -> Option<At<String>> {
        if at.value.is_empty() {
            self.fault_at(&at, "an empty text says nothing here");
            return None;
        }
        Some(at)
    }

    /// A text that reads as a `T`.
    pub fn parsed<T: FromStr>(&self, name: &'static str) -> Option<At<T>>
    where
        T::Err: Display,
    {
        self.parse(self.string_at(name)?)
    }

    /// Reads a text that stands at a place as a `T`.
    pub fn parse<T: FromStr>(&self, at: At<String>) -> Option<At<T>>
    where
        T::Err: Display,
    {
        match at.value.parse() {
            Ok(value) => Some(At {
                value,
                span: at.span,
                path: at.path,
            }),
            Err(error) => {
                self.fault_at(&at, error);
                None
            }
        }
    }

    pub fn bool(&self, name: &'static str) -> Option<bool> {
        let value = self.get(name)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(value, self.path_of(name), "true or false");
        }
        found
    }

    pub fn integer(&self, name: &'static str, range: &RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(name)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|n| i128::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok());
        match number {
            None => {
                self.wrong(value, self.path_of(name), "a whole number");
                None
            }
            Some(number) => match u64::try_from(number).ok().filter(|n| range.contains(n)) {
                Some(number) => Some(number),
                None => {
                    let (low, high) = (range.start(), range.end());
                    let message = format!("{number} is not between {low} and {high}");
                    self.source
                        .fault(Some(value.span()), self.path_of(name), message);
                    None
                }
            },
        }
    }

    pub fn duration(
        &self,
        name: &'static str,
        range: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let at = self.string_at(name)?;
        let read = parse_duration(&at.value)
            .map_err(str::to_owned)
            .and_then(|d| {
                if range.contains(&d) {
                    Ok(d)
                } else {
                    Err(format!(
                        "{} is not between {:?} and {:?}",
                        at.value,
                        range.start(),
                        range.end()
                    ))
                }
            });
        read.map_err(|message| self.fault_at(&at, message)).ok()
    }

    /// A size as a text with its unit, or a whole number of bytes.
    pub fn bytes(&self, name: &'static str, range: &RangeInclusive<u64>) -> Option<ByteCount> {
        if self.get(name)?.get_ref().is_integer() {
            return self.integer(name, range).map(ByteCount);
        }
        let at = self.string_at(name)?;
        let read = at
            .value
            .parse::<ByteCount>()
            .map_err(str::to_owned)
            .and_then(|count| {
                if range.contains(&count.0) {
                    Ok(count)
                } else {
                    let (low, high) = (ByteCount(*range.start()), ByteCount(*range.end()));
                    Err(format!("{} is not between {low} and {high}", at.value))
                }
            });
        read.map_err(|message| self.fault_at(&at, message)).ok()
    }

    /// Whether the field is a list without items, which is rarely meant: `path = []` would match everything.
    pub fn refuse_empty(&self, name: &'static str) {
        let Some(value) = self.get(name) else { return };
        if value
            .get_ref()
            .as_array()
            .is_some_and(|list| list.is_empty())
        {
            self.source.fault(
                Some(value.span()),
                self.path_of(name),
                "an empty list says nothing here",
            );
        }
    }

    /// The same for a list that must be there.
    pub fn require_items(&self, name: &'static str, wanted: &str) {
        if self.has(name) {
            self.refuse_empty(name);
        } else {
            self.missing(name, format_args!("this setting is missing: {wanted}"));
        }
    }

    /// A list of texts, each with its place; a single text is a list of one.
    pub fn strings(&self, name: &'static str) -> Vec<At<String>> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        let path = self.path_of(name);
        if let Some(text) = value.get_ref().as_str() {
            return vec![At {
                value: text.to_owned(),
                span: value.span(),
                path,
            }];
        }
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(value, path, "a list of texts");
            return Vec::new();
        };
        let item = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
            let path = format!("{path}[{index}]");
            match item.get_ref().as_str() {
                Some(text) => Some(At {
                    value: text.to_owned(),
                    span: item.span(),
                    path,
                }),
                None => {
                    self.wrong(item, path, "a text");
                    None
                }
            }
        };
        list.iter().enumerate().filter_map(item).collect()
    }

    /// A list of texts that read as `T`s; those that do not are faults and left out.
    pub fn parsed_list<T: FromStr>(&self, name: &'static str) -> Vec<At<T>>
    where
        T::Err: Display,
    {
        self.strings(name)
            .into_iter()
            .filter_map(|at| self.parse(at))
            .collect()
    }

    /// A table below this one.
    pub fn table<T>(&self, name: &'static str, walk: impl FnOnce(&Table<'_>) -> T) -> Option<T> {
        let value = self.get(name)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(value, self.path_of(name), "a table");
            return None;
        };
        let table = Table::new(self.source, self.path_of(name), table, value.span());
        let made = walk(&table);
        table.refuse_unknown();
        Some(made)
    }

    /// A list of tables below this one.
    pub fn tables<T>(&self, name: &'static str, mut walk: impl FnMut(&Table<'_>) -> T) -> Vec<T> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(value, self.path_of(name), "a list of tables");
            return Vec::new();
        };
        let mut made = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(name));
            match item.get_ref().as_table() {
                Some(table) => {
                    let table = Table::new(self.source, path, table, item.span());
                    made.push(walk(&table));
                    table.refuse_unknown();
                }
                None => self.wrong(item, path, "a table"),
            }
        }
        made
    }

    /// All fields of this table as texts, whatever their names.
    pub fn pairs(&self) -> Vec<(String, At<String>)> {
        let mut pairs = Vec::new();
        for (key, value) in self.fields {
            let path = self.path_of(key.get_ref());
            match value.get_ref().as_str() {
                Some(text) => pairs.push((
                    key.get_ref().to_string(),
                    At {
                        value: text.to_owned(),
                        span: value.span(),
                        path,
                    },
                )),
                None => self.wrong(value, path, "a text"),
            }
        }
        pairs
    }

    /// The same for a table below this one; its names are not checked.
    pub fn pairs_of(&self, name: &'static str) -> Vec<(String, At<String>)> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        match value.get_ref().as_table() {
            Some(table) => Table::new(self.source, self.path_of(name), table, value.span()).pairs(),
            None => {
                self.wrong(value, self.path_of(name), "a table of texts");
                Vec::new()
            }
        }
    }

    fn refuse_unknown(&self) {
        let known = self.known.borrow();
        for (key, _) in self.fields {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let near = known.iter().map(|k| (distance(name, k), k)).min();
            let message = match near {
                // a third of the letters: `id` is no misspelling of `to`
                Some((far, near)) if far <= (name.len() / 3).clamp(1, 3) => {
                    format!("unknown field `{name}`, did you mean `{near}`?")
                }
                _ => {
                    let mut names: Vec<&str> = known.to_vec();
                    names.sort_unstable();
                    names.dedup();
                    format!("unknown field `{name}`; there are: {}", names.join(", "))
                }
            };
            self.source
                .fault(Some(key.span()), self.path_of(name), message);
        }
    }
}

/// How many letters have to be changed, added or taken away to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (before + usize::from(x != *y))
                .min(above + 1)
                .min(row[j] + 1);
            before = above;
        }
    }
    row[b.len()]
}
