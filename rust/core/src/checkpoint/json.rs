//! Streaming JSON with what serde leaves out: refused duplicates, and errors that know their place.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::quote;
use crate::{Error, Result};

/// Error messages end here, so that a hostile string of 100 MB is not printed in full.
const MAX_MESSAGE: usize = 600;

/// Where the parser is, for the message of an error. Filled in on failure only.
#[derive(Default)]
pub(super) struct Place {
    tensor: RefCell<Option<String>>,
    field: Cell<Option<&'static str>>,
}

impl Place {
    /// Notes the tensor that the failure about to be returned belongs to.
    pub(super) fn blame(&self, tensor: &str) {
        *self.tensor.borrow_mut() = Some(tensor.to_owned());
    }

    /// Runs `parse` for the value of `field`; a failure is reported as one of that field.
    pub(super) fn within<T, E>(
        &self,
        field: &'static str,
        parse: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let outer = self.field.replace(Some(field));
        let value = parse()?;
        self.field.set(outer);
        Ok(value)
    }
}

/// Parses the whole of `json` with `seed`. `base` is the byte offset of `json` in its file and
/// `what` names it in messages ("header", "index").
pub(super) fn parse<'de, S: DeserializeSeed<'de>>(
    path: &Path,
    json: &'de [u8],
    base: u64,
    what: &str,
    place: &Place,
    seed: S,
) -> Result<S::Value> {
    let at = |index: usize| Some(base.saturating_add(index as u64));
    let text = std::str::from_utf8(json).map_err(|error| {
        Error::format(path, None, at(error.valid_up_to()), format!("the {what} is not UTF-8"))
    })?;
    match text.bytes().next() {
        Some(b'{') => {}
        Some(_) => {
            let message = format!("the {what} is not a JSON object: it does not begin with '{{'");
            return Err(Error::format(path, None, at(0), message));
        }
        None => return Err(Error::format(path, None, at(0), format!("the {what} is empty"))),
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = seed.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    parsed.map_err(|error| {
        let tensor = place.tensor.borrow();
        let mut message = describe(&error, what);
        if let Some(field) = place.field.get() {
            message.insert_str(0, &format!("{field}: "));
        }
        Error::format(path, tensor.as_deref(), at(index_of(text, &error)), clip(message))
    })
}

/// The message of `error` without its line and column: a header is one line, bytes say more.
fn describe(error: &serde_json::Error, what: &str) -> String {
    let full = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let text = full.strip_suffix(&suffix).unwrap_or(&full);
    match error.classify() {
        serde_json::error::Category::Data => text.to_owned(),
        _ => format!("the {what} is not valid JSON: {text}"),
    }
}

/// The index of the byte that `error` stopped at.
fn index_of(text: &str, error: &serde_json::Error) -> usize {
    let line_start = match error.line().saturating_sub(2) {
        _ if error.line() < 2 => 0,
        nth => text.match_indices('\n').nth(nth).map_or(text.len(), |(index, _)| index + 1),
    };
    // Columns count bytes from 1, and the column of an error is that of the last byte consumed.
    line_start.saturating_add(error.column().saturating_sub(1)).min(text.len())
}

fn clip(message: String) -> String {
    match shorten(&message, MAX_MESSAGE) {
        short if short.len() < message.len() => format!("{short}..."),
        _ => message,
    }
}

/// The longest prefix of `text` with at most `max` bytes.
fn shorten(text: &str, max: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= max);
    &text[..end.last().unwrap_or(0)]
}

/// `name` quoted for a message, shortened where it is very long.
pub(super) fn quote_short(name: &str) -> String {
    const MAX: usize = 200;
    if name.len() <= MAX {
        return quote(name);
    }
    format!("{}...", quote(shorten(name, MAX)))
}

/// A string, borrowed from the document unless it holds an escape.
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The keys of one JSON object: the second of two equal ones is an error.
#[derive(Default)]
pub(super) struct Keys<'de>(HashSet<Cow<'de, str>>);

impl<'de> Keys<'de> {
    /// The next key of `map`, or `None` at its end.
    pub(super) fn next<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        place: &Place,
        are_tensors: bool,
    ) -> Result<Option<Cow<'de, str>>, A::Error> {
        let Some(Text(key)) = map.next_key::<Text<'de>>()? else { return Ok(None) };
        if self.0.insert(key.clone()) {
            return Ok(Some(key));
        }
        if are_tensors {
            place.blame(&key);
        }
        Err(de::Error::custom(format_args!("the key {} appears twice", quote_short(&key))))
    }
}

/// A list of at most `limit` integers from 0 to 2^64-1.
pub(super) struct Integers {
    pub(super) limit: usize,
}

impl<'de> DeserializeSeed<'de> for Integers {
    type Value = Vec<u64>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Integers {
    type Value = Vec<u64>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of integers")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u64>, A::Error> {
        let mut values = Vec::new();
        while let Some(Integer(value)) = list.next_element()? {
            if values.len() == self.limit {
                return Err(de::Error::custom(format_args!(
                    "the list has more than {} entries",
                    self.limit
                )));
            }
            values.push(value);
        }
        Ok(values)
    }
}

/// An integer from 0 to 2^64-1. JSON numbers with a sign, point or exponent are none.
struct Integer(u64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor;
        impl Visitor<'_> for IntegerVisitor {
            type Value = Integer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 to 2^64-1")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Integer, E> {
                Ok(Integer(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Integer, E> {
                Err(E::custom(format_args!("expected an integer from 0 to 2^64-1, not {value}")))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Integer, E> {
                Err(E::custom(format_args!("expected an integer from 0 to 2^64-1, not {value:?}")))
            }
        }
        deserializer.deserialize_u64(IntegerVisitor)
    }
}
