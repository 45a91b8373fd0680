//! The types that formats and serde's adaptors treat each in their own way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::samples::Any;

/// One value for each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Types {
    unit: (),
    unit_struct: Unit,
    none: Option<u8>,
    some: Option<Newtype>,
    character: char,
    tuple: (u8, String),
    tuple_struct: Pair,
    external: Vec<External>,
    internal: Vec<Internal>,
    adjacent: Vec<Adjacent>,
    untagged: Vec<Untagged>,
    /// An integer read as a float.
    whole: Whole,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype(u16);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair(u8, String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum External {
    Unit,
    Newtype(String),
    Tuple(u8, String),
    Struct { a: u8, b: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tag")]
enum Internal {
    Unit,
    Struct { a: u8, b: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tag", content = "content")]
enum Adjacent {
    Unit,
    Newtype(String),
    Tuple(u8, String),
    Struct { a: u8 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
    List(Vec<u8>),
    Map { a: u8 },
}

/// Written as an integer, read as a float.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Whole(f64);

impl Serialize for Whole {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("Whole", &(self.0 as i64))
    }
}

impl Types {
    pub(super) fn sample() -> Self {
        let text = || "text".to_owned();
        Self {
            unit: (),
            unit_struct: Unit,
            none: None,
            some: Some(Newtype(300)),
            character: '\u{e9}',
            tuple: (1, text()),
            tuple_struct: Pair(2, text()),
            external: vec![
                External::Unit,
                External::Newtype(text()),
                External::Tuple(3, text()),
                External::Struct { a: 4, b: None },
            ],
            internal: vec![
                Internal::Unit,
                Internal::Struct {
                    a: 5,
                    b: Some(text()),
                },
            ],
            adjacent: vec![
                Adjacent::Unit,
                Adjacent::Newtype(text()),
                Adjacent::Tuple(6, text()),
                Adjacent::Struct { a: 7 },
            ],
            untagged: vec![
                Untagged::Number(8),
                Untagged::Text(text()),
                Untagged::List(vec![9]),
                Untagged::Map { a: 10 },
            ],
            whole: Whole(-11.0),
        }
    }

    /// What that is to a type that takes whatever there is: what the renderer reads.
    pub(super) fn as_any() -> Any {
        let text = || Any::Text("text".to_owned());
        let list = |values: Vec<Any>| Any::List(values);
        let tagged = |tag: &str, value: Any| map([(tag, value)]);
        let tag = |tag: &str| ("tag", Any::Text(tag.to_owned()));
        let n = Any::Signed;
        map([
            ("unit", Any::Null(())),
            ("unit_struct", Any::Null(())),
            ("none", Any::Null(())),
            ("some", n(300)),
            ("character", Any::Text("\u{e9}".to_owned())),
            ("tuple", list(vec![n(1), text()])),
            ("tuple_struct", list(vec![n(2), text()])),
            (
                "external",
                list(vec![
                    Any::Text("Unit".to_owned()),
                    tagged("Newtype", text()),
                    tagged("Tuple", list(vec![n(3), text()])),
                    tagged("Struct", map([("a", n(4)), ("b", Any::Null(()))])),
                ]),
            ),
            (
                "internal",
                list(vec![
                    map([tag("Unit")]),
                    map([tag("Struct"), ("a", n(5)), ("b", text())]),
                ]),
            ),
            (
                "adjacent",
                list(vec![
                    map([tag("Unit")]),
                    map([tag("Newtype"), ("content", text())]),
                    map([tag("Tuple"), ("content", list(vec![n(6), text()]))]),
                    map([tag("Struct"), ("content", map([("a", n(7))]))]),
                ]),
            ),
            (
                "untagged",
                list(vec![n(8), text(), list(vec![n(9)]), map([("a", n(10))])]),
            ),
            ("whole", n(-11)),
        ])
    }
}

fn map<const N: usize>(entries: [(&str, Any); N]) -> Any {
    let entries = entries.map(|(key, value)| (key.to_owned(), value));
    Any::Map(BTreeMap::from(entries))
}
