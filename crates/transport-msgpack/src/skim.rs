//! Reads the envelope of a payload that comes in pieces and is not kept.

use plushie_pool_core::{Envelope, Field, LONGEST_FIELD, NoMessage, Skim};
use rmp::Marker;

/// How deep the maps and arrays of a payload may nest that is passed over.
const DEEPEST: usize = 1024;

/// The longest beginning of a value: its marker and a length.
const HEAD: usize = 1 + size_of::<u32>();

/// Walks over one map, however it is cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Skimmer {
    /// The beginning of the next value, as far as it is there.
    head: [u8; HEAD],
    head_len: usize,
    /// How many bytes of the value are still to come.
    body: u64,
    /// The string that is read, if it is of interest.
    text: Option<Vec<u8>>,
    /// How many values are still to come in each map and array that is open.
    open: Vec<u64>,
    /// What the value is that follows the last key of the message.
    field: Option<Field>,
    begun: bool,
    envelope: Envelope<'static>,
}

/// The beginning of a value.
enum Head {
    Text(u32),
    Map(u32),
    Array(u32),
    /// So many bytes that mean nothing here.
    Other(u64),
}

impl Skim for Skimmer {
    fn look(&mut self, mut piece: &[u8]) -> Result<(), NoMessage> {
        loop {
            self.take_body(&mut piece);
            if self.body > 0 {
                return Ok(());
            }
            let Some((byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            if self.begun && self.open.is_empty() {
                // Something follows the map.
                return Err(NoMessage);
            }
            piece = rest;
            self.head[self.head_len] = *byte;
            self.head_len += 1;
            if let Some(head) = head(&self.head[..self.head_len])? {
                self.head_len = 0;
                self.enter(head)?;
            }
        }
    }

    fn envelope(&mut self) -> Envelope<'static> {
        std::mem::take(&mut self.envelope)
    }
}

impl Skimmer {
    fn take_body(&mut self, piece: &mut &[u8]) {
        if self.body == 0 {
            return;
        }
        let len = usize::try_from(self.body).map_or(piece.len(), |body| body.min(piece.len()));
        let (taken, rest) = piece.split_at(len);
        if let Some(text) = &mut self.text {
            text.extend_from_slice(taken);
        }
        *piece = rest;
        self.body -= len as u64;
        if self.body == 0 {
            self.end_value();
        }
    }

    fn enter(&mut self, head: Head) -> Result<(), NoMessage> {
        let is_message = !std::mem::replace(&mut self.begun, true);
        let is_key = self.is_key();
        match head {
            Head::Map(len @ 1..) if is_message => self.open.push(u64::from(len) * 2),
            _ if is_message => return Err(NoMessage),
            Head::Text(len) => {
                let wanted = is_key || (self.open.len() == 1 && self.field.is_some());
                let fits = len as usize <= LONGEST_FIELD;
                self.text = (wanted && fits).then(Vec::new);
                self.body = len.into();
                if len == 0 {
                    self.end_value();
                }
            }
            // The keys of a message are strings.
            _ if is_key => return Err(NoMessage),
            Head::Map(0) | Head::Array(0) | Head::Other(0) => self.end_value(),
            Head::Map(len) => self.open(u64::from(len) * 2)?,
            Head::Array(len) => self.open(len.into())?,
            Head::Other(len) => self.body = len,
        }
        Ok(())
    }

    fn open(&mut self, values: u64) -> Result<(), NoMessage> {
        if self.open.len() == DEEPEST {
            return Err(NoMessage);
        }
        self.open.push(values);
        Ok(())
    }

    /// Whether the next value is a key of the message.
    fn is_key(&self) -> bool {
        matches!(self.open[..], [left] if left.is_multiple_of(2))
    }

    /// A value has ended, and with it whatever map and array it was the last of.
    fn end_value(&mut self) {
        let text = self.text.take();
        if self.is_key() {
            self.field = text.as_deref().and_then(Field::of_key);
        } else if self.open.len() == 1
            && let Some(field) = self.field.take()
            && let Some(Ok(text)) = text.map(String::from_utf8)
        {
            field.set(&mut self.envelope, text);
        }
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
    }
}

/// What these bytes begin; `None` if more of them are needed.
fn head(bytes: &[u8]) -> Result<Option<Head>, NoMessage> {
    use Marker::*;
    let Some((marker, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let marker = Marker::from_u8(*marker);
    let width = match marker {
        Str8 | Bin8 | Ext8 => 1,
        Str16 | Bin16 | Ext16 | Array16 | Map16 => 2,
        Str32 | Bin32 | Ext32 | Array32 | Map32 => 4,
        _ => 0,
    };
    if rest.len() < width {
        return Ok(None);
    }
    let len = rest.iter().fold(0, |len, byte| len << 8 | u32::from(*byte));
    Ok(Some(match marker {
        FixStr(len) => Head::Text(len.into()),
        Str8 | Str16 | Str32 => Head::Text(len),
        FixMap(len) => Head::Map(len.into()),
        Map16 | Map32 => Head::Map(len),
        FixArray(len) => Head::Array(len.into()),
        Array16 | Array32 => Head::Array(len),
        Bin8 | Bin16 | Bin32 => Head::Other(len.into()),
        // A byte of an extension is its type; its length does not count it.
        Ext8 | Ext16 | Ext32 => Head::Other(u64::from(len) + 1),
        FixPos(_) | FixNeg(_) | Null | True | False => Head::Other(0),
        U8 | I8 => Head::Other(1),
        U16 | I16 | FixExt1 => Head::Other(2),
        FixExt2 => Head::Other(3),
        U32 | I32 | F32 => Head::Other(4),
        FixExt4 => Head::Other(5),
        U64 | I64 | F64 => Head::Other(8),
        FixExt8 => Head::Other(9),
        FixExt16 => Head::Other(17),
        Reserved => return Err(NoMessage),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skimmed(pieces: &[&[u8]]) -> Result<Envelope<'static>, NoMessage> {
        let mut skimmer = Skimmer::default();
        for piece in pieces {
            skimmer.look(piece)?;
        }
        Ok(skimmer.envelope())
    }

    fn payload() -> Vec<u8> {
        let message = serde_json::json!({
            "data": {"type": "not this", "children": [[], {}, {"id": "nor this"}, 1.5, null, -1]},
            "empty": "", "id": "~7", "long": "x".repeat(70_000), "session": "s3",
            "type": "query_response", "zero": [300, 70_000, 5_000_000_000_u64],
        });
        rmp_serde::to_vec_named(&message).unwrap()
    }

    #[test]
    fn the_envelope_is_found_wherever_it_is_and_wherever_pieces_end() {
        let payload = payload();
        let whole = skimmed(&[&payload]).unwrap();
        let found = (&*whole.kind, &*whole.session, whole.id.as_deref());
        assert_eq!(found, ("query_response", "s3", Some("~7")));
        for size in [1, 2, 3, 5, 7, 1000] {
            let pieces: Vec<_> = payload.chunks(size).collect();
            assert_eq!(skimmed(&pieces).unwrap(), whole, "in pieces of {size}");
        }
        for at in 0..200 {
            let (one, two) = payload.split_at(at);
            assert_eq!(skimmed(&[one, two]).unwrap(), whole, "cut at {at}");
        }
    }

    #[test]
    fn a_picture_behind_the_envelope_is_no_text() {
        let mut payload = b"\x83\xa2id\xa2~1\xa7session\xa2s1\xa4rgba\xc6\x00\x00\x10\x00".to_vec();
        payload.resize(payload.len() + 0x1000, 0xa4);
        let envelope = skimmed(&[&payload]).unwrap();
        assert_eq!(
            (&*envelope.session, envelope.id.as_deref()),
            ("s1", Some("~1"))
        );
    }

    #[test]
    fn what_is_no_message_is_noticed() {
        let garbage: [&[u8]; 7] = [
            b"\x00\x01",
            b"text",
            b"\x80",
            b"\x81\x01\x02",
            b"\x81\xa1a\xc1",
            b"\x81\xa1a\x01\x01",
            b"\x93\x01\x02\x03",
        ];
        for bytes in garbage {
            assert_eq!(skimmed(&[bytes]), Err(NoMessage), "{bytes:?}");
        }
    }
}
