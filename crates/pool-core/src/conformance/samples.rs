//! Messages that the suite writes and reads back.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::Binary;

/// What `serde_json::Value` would be: a type that takes whatever the format offers.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Any {
    Null(()),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
}

/// The keys of a message, in the order and as often as they appear.
#[derive(Debug)]
pub(super) struct Keys(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// Entries written one by one: a key may come twice, and the format learns how many there
/// are only at the end.
pub(super) struct Entries<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Maps and arrays within each other, in turn, this many levels of them.
pub(super) struct Nest(pub(super) usize);

impl Serialize for Nest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_u8(0),
            left if left % 2 == 0 => {
                let mut seq = serializer.serialize_seq(Some(1))?;
                seq.serialize_element(&Nest(left - 1))?;
                seq.end()
            }
            left => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("in", &Nest(left - 1))?;
                map.end()
            }
        }
    }
}

/// A message in which the pool looks for nothing but its `type`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct With<T> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: T,
}

impl<T> With<T> {
    pub(super) fn data(data: T) -> Self {
        let kind = "sample".to_owned();
        Self { kind, data }
    }
}

/// Every number at the ends of its range.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Numbers {
    signed: Vec<i64>,
    unsigned: Vec<u64>,
    doubles: Vec<f64>,
    singles: Vec<f32>,
}

impl Numbers {
    pub(super) fn extremes() -> Self {
        const POWERS: [u32; 8] = [5, 7, 8, 15, 16, 31, 32, 53];
        let edges = |power: u32| [-1, 0, 1].map(|by| (1u64 << power).wrapping_add_signed(by));
        let mut unsigned: Vec<u64> = POWERS.into_iter().flat_map(edges).collect();
        let mut signed: Vec<i64> = unsigned.iter().map(|&n| -(n as i64)).collect();
        unsigned.extend([0, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX]);
        signed.extend([i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX]);
        let mut doubles = vec![
            0.1,
            1.0 / 3.0,
            1e21,
            1e23,
            5e-324,
            2.225_073_858_507_201e-308,
        ];
        doubles.extend([
            0.0,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            f64::MAX,
            1.0,
            1e15 + 0.3,
        ]);
        doubles.extend(doubles.clone().iter().map(|n| -n));
        let mut singles = vec![0.0, 0.1, f32::MIN_POSITIVE, f32::MAX, f32::from_bits(1)];
        singles.extend(singles.clone().iter().map(|n| -n));
        Self {
            signed,
            unsigned,
            doubles,
            singles,
        }
    }

    /// The floats bit by bit: `-0.0 == 0.0` would hide a lost sign.
    pub(super) fn bits(&self) -> Vec<u64> {
        let singles = self.singles.iter().map(|n| n.to_bits().into());
        self.doubles
            .iter()
            .map(|n| n.to_bits())
            .chain(singles)
            .collect()
    }
}

/// Binary data in every place serde treats in its own way.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pixels {
    plain: Binary,
    maybe: Option<Binary>,
    many: Vec<Binary>,
    either: Either,
    #[serde(flatten)]
    flat: Flat,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u64),
    Data(Binary),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    buffered: Binary,
}

/// What those are to a type that takes them for text.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Texts {
    plain: String,
    maybe: Option<Transparent<String>>,
    many: (String, Any, IgnoredAny),
    either: Any,
    #[serde(flatten)]
    flat: BTreeMap<String, String>,
}

impl Texts {
    pub(super) fn sample() -> Self {
        Self {
            plain: "aGk=".to_owned(),
            maybe: Some(Transparent("+/8A".to_owned())),
            many: (String::new(), Any::Text("YQ==".to_owned()), IgnoredAny),
            either: Any::Text("YUdrPQ==".to_owned()),
            flat: BTreeMap::from([("buffered".to_owned(), "aGk=".to_owned())]),
        }
    }
}

impl Pixels {
    pub(super) fn sample() -> Self {
        // Printable, so that a format that passes it off as a string is caught.
        let data = |text: &str| Binary::from(text.as_bytes());
        Self {
            plain: data("hi"),
            maybe: Some(Binary::from(vec![0xfb, 0xff, 0x00])),
            many: vec![data(""), data("a"), Binary::from(vec![0xff; 70_000])],
            either: Either::Data(data("aGk=")),
            flat: Flat {
                buffered: data("hi"),
            },
        }
    }
}

/// The shapes in which a body may come, all of which are maps on the wire.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shape {
    Newtype(u8),
    Tuple(u8, u8),
    Struct { a: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Transparent<T>(pub(super) T);
