//! Binary data, written the way each wire format wants it.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::strict::BINARY;

/// Binary data in a message: pixels, a font, an image file.
///
/// Goes out as bytes where the format has bytes, and as a string of standard, padded base64
/// where it is text; comes back from either. Cloning does not copy the data.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(Bytes);

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Binary {
    fn from(data: Bytes) -> Self {
        Self(data)
    }
}

impl From<Vec<u8>> for Binary {
    fn from(data: Vec<u8>) -> Self {
        Self(data.into())
    }
}

impl From<&[u8]> for Binary {
    fn from(data: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(data))
    }
}

impl From<Binary> for Bytes {
    fn from(binary: Binary) -> Self {
        binary.0
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A screenshot in full would bury the log of the test that failed.
        const SHOWN: usize = 32;
        write!(f, "Binary({} bytes: ", self.len())?;
        match self.get(..SHOWN + 1) {
            Some(more) => write!(f, "{:02x?}..)", &more[..SHOWN]),
            None => write!(f, "{:02x?})", &**self),
        }
    }
}

/// Within a newtype of a name that [`Strict`](crate::strict::Strict) and
/// [`Textual`](crate::textual::Textual) know: to all other types they call every format human
/// readable, so that those read and write the same in all of them.
impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(BINARY, &Inner(self))
    }
}

struct Inner<'a>(&'a [u8]);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(self.0))
        } else {
            serializer.serialize_bytes(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(BINARY, Data)
    }
}

struct Data;

impl<'de> Visitor<'de> for Data {
    type Value = Binary;

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Binary, D::Error> {
        // serde_json hands a string over as bytes to those who ask for bytes. And serde calls
        // what it buffered for `flatten` and `untagged` human readable, whatever it came from.
        if inner.is_human_readable() {
            inner.deserialize_str(self)
        } else {
            inner.deserialize_byte_buf(self)
        }
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binary data or a string of base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Binary, E> {
        let data = STANDARD
            .decode(text)
            .map_err(|error| E::custom(format_args!("not base64: {error}")))?;
        Ok(data.into())
    }

    fn visit_bytes<E: serde::de::Error>(self, data: &[u8]) -> Result<Binary, E> {
        Ok(data.into())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, data: Vec<u8>) -> Result<Binary, E> {
        Ok(data.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{BytesDeserializer, Error, StrDeserializer};

    #[test]
    fn text_carries_it_as_padded_base64() {
        let binary = Binary::from(vec![0xfb, 0xff, 0x00, 0x01]);
        let text = serde_json::to_string(&binary).unwrap();
        assert_eq!(text, r#""+/8AAQ==""#);
        assert_eq!(serde_json::from_str::<Binary>(&text).unwrap(), binary);
        let error = serde_json::from_str::<Binary>("\"+/8AAQ\"").unwrap_err();
        assert!(error.to_string().contains("not base64"), "{error}");
    }

    #[test]
    fn bytes_are_taken_as_they_are_and_strings_as_base64() {
        let bytes = BytesDeserializer::<Error>::new(b"aGk=");
        assert_eq!(&*Binary::deserialize(bytes).unwrap(), b"aGk=");
        let text = StrDeserializer::<Error>::new("aGk=");
        assert_eq!(&*Binary::deserialize(text).unwrap(), b"hi");
    }

    #[test]
    fn a_screenshot_does_not_flood_the_log() {
        let shown = format!("{:?}", Binary::from(vec![7; 3 << 20]));
        assert!(shown.starts_with("Binary(3145728 bytes: [07, "), "{shown}");
        assert!(shown.len() < 200, "{} bytes", shown.len());
        assert_eq!(
            format!("{:?}", Binary::from(vec![1, 255])),
            "Binary(2 bytes: [01, ff])"
        );
    }
}
