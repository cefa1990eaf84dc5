//! The bare items (RFC 9651 §3.3) and how they are read (§4.2.3.1, §4.2.4 to §4.2.10).

use super::Input;

/// What a [`BareItem::Decimal`] counts: one is this many.
pub const THOUSANDTHS: i64 = 1000;

/// Digits of an integer, and of a decimal before its point (§3.3.1, §3.3.2).
const INTEGER_DIGITS_MAX: usize = 15;
const WHOLE_DIGITS_MAX: usize = 12;
const FRACTION_DIGITS_MAX: usize = 3;

/// A value of one of the types that structured fields know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BareItem {
    /// §3.3.1
    Integer(i64),
    /// §3.3.2, in thousandths: it has three places at most.
    Decimal(i64),
    /// §3.3.3, escapes undone; ASCII.
    String(String),
    /// §3.3.4
    Token(String),
    /// §3.3.5, decoded
    Bytes(Vec<u8>),
    /// §3.3.6
    Boolean(bool),
    /// §3.3.7, seconds since 1970
    Date(i64),
    /// §3.3.8, decoded
    Display(String),
}

/// §4.2.3.1
pub(super) fn bare_item(input: &mut Input<'_>) -> Option<BareItem> {
    match input.peek()? {
        b'-' | b'0'..=b'9' => number(input),
        b'"' => string(input),
        b'*' | b'a'..=b'z' | b'A'..=b'Z' => Some(token(input)),
        b':' => bytes(input),
        b'?' => boolean(input),
        b'@' => date(input),
        b'%' => display(input),
        _ => None,
    }
}

/// §4.2.4
fn number(input: &mut Input<'_>) -> Option<BareItem> {
    let sign = if input.take(b'-') { -1 } else { 1 };
    let whole = input.take_while(|b| b.is_ascii_digit());
    let places = if input.take(b'.') {
        let fraction = input.take_while(|b| b.is_ascii_digit());
        let legal =
            whole.len() <= WHOLE_DIGITS_MAX && (1..=FRACTION_DIGITS_MAX).contains(&fraction.len());
        Some(legal.then_some(fraction)?)
    } else {
        None
    };
    if whole.is_empty() || whole.len() > INTEGER_DIGITS_MAX {
        return None;
    }
    // 15 digits at most: this cannot overflow
    let digits = |value: i64, digit: &u8| value * 10 + i64::from(digit - b'0');
    let whole = whole.iter().fold(0, digits);
    let Some(fraction) = places else {
        return Some(BareItem::Integer(sign * whole));
    };
    let padded = [fraction, &b"00"[..]].concat();
    let thousandths = padded[..FRACTION_DIGITS_MAX].iter().fold(0, digits);
    Some(BareItem::Decimal(
        sign * (whole * THOUSANDTHS + thousandths),
    ))
}

/// §4.2.5
fn string(input: &mut Input<'_>) -> Option<BareItem> {
    input.take(b'"');
    let mut text = String::new();
    loop {
        match input.next()? {
            b'"' => return Some(BareItem::String(text)),
            b'\\' => match input.next()? {
                escaped @ (b'"' | b'\\') => text.push(char::from(escaped)),
                _ => return None,
            },
            plain @ b' '..=b'~' => text.push(char::from(plain)),
            _ => return None,
        }
    }
}

/// §4.2.6; its first byte has been judged.
fn token(input: &mut Input<'_>) -> BareItem {
    let is_of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b);
    let text = input.take_while(is_of_token);
    BareItem::Token(String::from_utf8_lossy(text).into_owned())
}

/// §4.2.7. Missing padding and pad bits that are not zero are accepted, as it says they should be.
fn bytes(input: &mut Input<'_>) -> Option<BareItem> {
    input.take(b':');
    let coded = input.take_while(|b| b != b':');
    if !input.take(b':') {
        return None;
    }
    let end = coded.iter().position(|b| *b == b'=');
    let (digits, padding) = coded.split_at(end.unwrap_or(coded.len()));
    let padded = padding.is_empty() || (digits.len() + padding.len()).is_multiple_of(4);
    let legal =
        digits.len() % 4 != 1 && padding.len() <= 2 && padded && padding.iter().all(|b| *b == b'=');
    if !legal {
        return None;
    }
    let mut decoded = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = (bits << 6) | u32::from(sextet(*digit)?);
        }
        let bits = bits << (6 * (4 - group.len()));
        // four digits are three bytes, three are two, two are one
        decoded.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(BareItem::Bytes(decoded))
}

/// A digit of base64 (RFC 4648 §4).
fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// §4.2.8
fn boolean(input: &mut Input<'_>) -> Option<BareItem> {
    input.take(b'?');
    match input.next()? {
        b'0' => Some(BareItem::Boolean(false)),
        b'1' => Some(BareItem::Boolean(true)),
        _ => None,
    }
}

/// §4.2.9
fn date(input: &mut Input<'_>) -> Option<BareItem> {
    input.take(b'@');
    match number(input)? {
        BareItem::Integer(seconds) => Some(BareItem::Date(seconds)),
        _ => None,
    }
}

/// §4.2.10
fn display(input: &mut Input<'_>) -> Option<BareItem> {
    input.take(b'%');
    if !input.take(b'"') {
        return None;
    }
    let mut text = Vec::new();
    loop {
        match input.next()? {
            b'"' => return String::from_utf8(text).ok().map(BareItem::Display),
            b'%' => text.push((hex(input.next()?)? << 4) | hex(input.next()?)?),
            plain @ b' '..=b'~' => text.push(plain),
            _ => return None,
        }
    }
}

/// A digit in lower case: others are refused.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
