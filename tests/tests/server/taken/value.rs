//! Values that a well-meaning encoder would not write, in either format.

use plushie_pool_tests::wire::Format;
use serde_json::Value;

/// A value with what only one of the formats has.
#[derive(Debug, Clone)]
pub(super) enum Odd {
    Null,
    Bool(bool),
    Int(i128),
    F32(f32),
    F64(f64),
    /// A text, which may not be UTF-8.
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    List(Vec<Odd>),
    /// Keys of any kind, in any order, also twice.
    Map(Vec<(Odd, Odd)>),
    /// As it goes over the wire.
    Raw(Vec<u8>),
}

impl Odd {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn written(&self, format: Format) -> Vec<u8> {
        let mut out = Vec::new();
        match format {
            Format::Json => self.json(&mut out),
            Format::Msgpack => self.msgpack(&mut out),
        }
        out
    }

    fn json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend(b"null"),
            Self::Bool(value) => out.extend(value.to_string().bytes()),
            Self::Int(value) => out.extend(value.to_string().bytes()),
            Self::F32(value) => out.extend(format!("{value:?}").bytes()),
            Self::F64(value) => out.extend(format!("{value:?}").bytes()),
            Self::Text(text) | Self::Bytes(text) => {
                let text = String::from_utf8_lossy(text);
                out.extend(Value::from(&*text).to_string().bytes());
            }
            Self::List(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    out.extend(if at == 0 { &b""[..] } else { b" , " });
                    value.json(out);
                }
                out.push(b']');
            }
            Self::Map(entries) => {
                out.push(b'{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    out.extend(if at == 0 { &b""[..] } else { b"," });
                    match key {
                        Self::Text(_) | Self::Raw(_) => key.json(out),
                        other => Self::text(&format!("{other:?}")).json(out),
                    }
                    out.extend(b":");
                    value.json(out);
                }
                out.push(b'}');
            }
            Self::Raw(raw) => out.extend(raw),
        }
    }

    fn msgpack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0xc0),
            Self::Bool(value) => out.push(0xc2 + u8::from(*value)),
            Self::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => {
                    out.push(0xd3);
                    out.extend(value.to_be_bytes());
                }
                (_, Ok(value)) => {
                    out.push(0xcf);
                    out.extend(value.to_be_bytes());
                }
                _ => Self::F64(*value as f64).msgpack(out),
            },
            Self::F32(value) => {
                out.push(0xca);
                out.extend(value.to_be_bytes());
            }
            Self::F64(value) => {
                out.push(0xcb);
                out.extend(value.to_be_bytes());
            }
            Self::Text(text) => sized(out, 0xdb, text.len(), text),
            Self::Bytes(bytes) => sized(out, 0xc6, bytes.len(), bytes),
            Self::List(values) => {
                sized(out, 0xdd, values.len(), &[]);
                for value in values {
                    value.msgpack(out);
                }
            }
            Self::Map(entries) => {
                sized(out, 0xdf, entries.len(), &[]);
                for (key, value) in entries {
                    key.msgpack(out);
                    value.msgpack(out);
                }
            }
            Self::Raw(raw) => out.extend(raw),
        }
    }
}

/// The longest way to say how long something is, which is as good as the shortest.
fn sized(out: &mut Vec<u8>, marker: u8, len: usize, data: &[u8]) {
    out.push(marker);
    out.extend(u32::try_from(len).unwrap().to_be_bytes());
    out.extend(data);
}

impl From<&Value> for Odd {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Int(value.into()),
                (None, value) => Self::F64(value.unwrap()),
            },
            Value::String(text) => Self::text(text),
            Value::Array(values) => Self::List(values.iter().map(Self::from).collect()),
            Value::Object(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (Self::text(key), Self::from(value)))
                    .collect(),
            ),
        }
    }
}
