//! Any JSON value, read just far enough to check it or to show it in an error.

use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::fleet::spot::errors::excerpt;
use crate::fleet::spot::recording::MAX_NODES;

/// Any JSON value, kept just enough to check or to show it.
pub(crate) enum Found {
    Whole(u64),
    Decimal(f64),
    Other(String),
}

impl Found {
    /// A node count, if it is one within the limit.
    pub fn count(&self) -> Option<u32> {
        match self {
            Self::Whole(n) => u32::try_from(*n).ok().filter(|&n| n <= MAX_NODES),
            _ => None,
        }
    }
    /// A number, whole or not.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(n) => Some(*n as f64),
            Self::Decimal(x) => Some(*x),
            Self::Other(_) => None,
        }
    }
    /// What to show of it in an error.
    pub fn text(&self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Decimal(x) => format!("{x:?}"),
            Self::Other(text) => text.clone(),
        }
    }
}

impl<'de> de::Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(FoundVisitor)
    }
}

struct FoundVisitor;

impl<'de> Visitor<'de> for FoundVisitor {
    type Value = Found;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_u64<E>(self, n: u64) -> Result<Found, E> {
        Ok(Found::Whole(n))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Found, E> {
        Ok(Found::Other(n.to_string()))
    }
    fn visit_f64<E>(self, x: f64) -> Result<Found, E> {
        Ok(Found::Decimal(x))
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Found, E> {
        Ok(Found::Other(truth.to_string()))
    }
    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Other(String::from("null")))
    }
    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Other(excerpt(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other(String::from("an array")))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other(String::from("an object")))
    }
}
