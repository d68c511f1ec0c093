//! Reads a node into a serde type, and says exactly where it went wrong.
//!
//! Errors keep their kind instead of a message, and collect the path on the way out. Serde
//! buffers the content of tagged and untagged enums, so inside one the path ends at the enum;
//! the `probe` module finds the rest.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::tree::{Data, Node, Step};

/// What went wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    UnknownField {
        field: String,
        known: &'static [&'static str],
    },
    MissingField(&'static str),
    UnknownVariant {
        variant: String,
        known: &'static [&'static str],
    },
    Mismatch {
        found: String,
        wanted: String,
    },
    Length {
        found: usize,
        wanted: String,
    },
    /// A number that JSON does not have, where any JSON value may stand.
    NotFinite,
    Other(String),
}

/// What went wrong, and the way there from the innermost step outwards.
#[derive(Debug)]
pub(super) struct DecodeError {
    pub(super) kind: Box<Kind>,
    inside_out: Vec<Step>,
}

impl DecodeError {
    fn new(kind: Kind) -> DecodeError {
        DecodeError {
            kind: Box::new(kind),
            inside_out: Vec::new(),
        }
    }

    fn under(mut self, step: Step) -> DecodeError {
        self.inside_out.push(step);
        self
    }

    /// The path from the root.
    pub(super) fn path(&self) -> Vec<Step> {
        self.inside_out.iter().rev().cloned().collect()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for DecodeError {}

impl Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError::new(Kind::Other(message.to_string()))
    }
    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Error::invalid_value(found, wanted)
    }
    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        DecodeError::new(Kind::Mismatch {
            found: found.to_string(),
            wanted: wanted.to_string(),
        })
    }
    fn invalid_length(found: usize, wanted: &dyn Expected) -> Self {
        DecodeError::new(Kind::Length {
            found,
            wanted: wanted.to_string(),
        })
    }
    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        DecodeError::new(Kind::UnknownVariant {
            variant: variant.to_owned(),
            known,
        })
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        DecodeError::new(Kind::UnknownField {
            field: field.to_owned(),
            known,
        })
    }
    fn missing_field(field: &'static str) -> Self {
        DecodeError::new(Kind::MissingField(field))
    }
}

/// What serde calls the value of a node.
pub(super) fn found(node: &Node) -> String {
    match &node.data {
        Data::Scalar(toml::Value::String(text)) => Unexpected::Str(text).to_string(),
        Data::Scalar(toml::Value::Integer(number)) => Unexpected::Signed(*number).to_string(),
        Data::Scalar(toml::Value::Float(number)) => Unexpected::Float(*number).to_string(),
        Data::Scalar(toml::Value::Boolean(flag)) => Unexpected::Bool(*flag).to_string(),
        Data::Scalar(other) => Unexpected::Str(&other.to_string()).to_string(),
        Data::Array(_) => Unexpected::Seq.to_string(),
        Data::Table(_) => Unexpected::Map.to_string(),
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.data {
            Data::Scalar(toml::Value::String(text)) => visitor.visit_borrowed_str(text),
            Data::Scalar(toml::Value::Integer(number)) => visitor.visit_i64(*number),
            // Serde would read a null instead, which takes the field away.
            Data::Scalar(toml::Value::Float(number))
                if !number.is_finite() && is_json::<V::Value>() =>
            {
                Err(DecodeError::new(Kind::NotFinite))
            }
            Data::Scalar(toml::Value::Float(number)) => visitor.visit_f64(*number),
            Data::Scalar(toml::Value::Boolean(flag)) => visitor.visit_bool(*flag),
            Data::Scalar(other) => visitor.visit_string(other.to_string()),
            Data::Array(elements) => {
                let mut access = Elements { elements, next: 0 };
                let value = visitor.visit_seq(&mut access)?;
                if access.next < elements.len() {
                    let wanted = format!("{} elements in sequence", access.next);
                    return Err(Error::invalid_length(elements.len(), &wanted.as_str()));
                }
                Ok(value)
            }
            Data::Table(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.data {
            Data::Scalar(toml::Value::String(text)) => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            Data::Table(entries) if entries.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries { entries, next: 0 }))
            }
            _ => Err(Error::custom(format!("{}, expected a word", found(self)))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Whether a type is the one that holds any JSON value.
fn is_json<T>() -> bool {
    std::any::type_name::<T>() == std::any::type_name::<serde_json::Value>()
}

struct Elements<'de> {
    elements: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let index = self.next;
        let Some(element) = self.elements.get(index) else {
            return Ok(None);
        };
        self.next += 1;
        seed.deserialize(element)
            .map(Some)
            .map_err(|error| error.under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len() - self.next)
    }
}

struct Entries<'de> {
    entries: &'de [(String, Node)],
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((name, _)) = self.entries.get(self.next) else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
            .map_err(|error: DecodeError| error.under(Step::Key(name.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let Some((name, node)) = self.entries.get(self.next) else {
            return Err(Error::custom("a value was asked for without its key"));
        };
        self.next += 1;
        seed.deserialize(node)
            .map_err(|error| error.under(Step::Key(name.clone())))
    }
}
