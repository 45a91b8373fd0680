//! Reads the envelope of a line that comes in pieces and is not kept.

use memchr::memchr2;
use plushie_pool_core::{Envelope, Field, LONGEST_FIELD, NoMessage, Skim};

/// Walks over one object, however it is cut into pieces.
///
/// Where a line ends is known whatever is in it, so that it only has to begin like a message: in
/// the rest of one that is none nothing is found.
#[derive(Debug, Default)]
pub(crate) struct Skimmer {
    /// Maps and arrays that are open.
    depth: u32,
    /// A text is open.
    quoted: bool,
    /// The last byte of the text was a backslash.
    escaped: bool,
    /// What was read of the text, if it is of interest.
    text: Option<Vec<u8>>,
    /// The message's next text is a key.
    at_key: bool,
    /// What the value is that follows the last key of the message.
    field: Option<Field>,
    begun: bool,
    envelope: Envelope<'static>,
}

impl Skim for Skimmer {
    fn look(&mut self, mut piece: &[u8]) -> Result<(), NoMessage> {
        while let Some(byte) = piece.first().copied() {
            if self.quoted {
                piece = self.take_text(piece);
                continue;
            }
            piece = &piece[1..];
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'{' if !self.begun => {
                    self.begun = true;
                    self.depth = 1;
                    self.at_key = true;
                }
                _ if !self.begun => return Err(NoMessage),
                b'"' => self.begin_text(),
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 1 => {
                    self.at_key = true;
                    self.field = None;
                }
                b':' if self.depth == 1 => self.at_key = false,
                _ => {}
            }
        }
        Ok(())
    }

    fn envelope(&mut self) -> Envelope<'static> {
        std::mem::take(&mut self.envelope)
    }
}

impl Skimmer {
    fn begin_text(&mut self) {
        self.quoted = true;
        let wanted = self.depth == 1 && (self.at_key || self.field.is_some());
        self.text = wanted.then(Vec::new);
    }

    /// Takes what there is of the text that is open, and returns what follows it.
    fn take_text<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        if std::mem::take(&mut self.escaped) {
            self.keep(&piece[..1]);
            return &piece[1..];
        }
        let Some(at) = memchr2(b'"', b'\\', piece) else {
            self.keep(piece);
            return &[];
        };
        self.keep(&piece[..at]);
        if piece[at] == b'"' {
            self.end_text();
        } else {
            self.escaped = true;
            self.keep(b"\\");
        }
        &piece[at + 1..]
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(text) = &mut self.text {
            if text.len() + bytes.len() > LONGEST_FIELD {
                self.text = None;
            } else {
                text.extend_from_slice(bytes);
            }
        }
    }

    fn end_text(&mut self) {
        self.quoted = false;
        let text = self.text.take().and_then(|text| read(&text));
        if self.depth != 1 {
            return;
        }
        if self.at_key {
            self.field = text.and_then(|key| Field::of_key(key.as_bytes()));
        } else if let Some(field) = self.field.take()
            && let Some(text) = text
        {
            field.set(&mut self.envelope, text);
        }
    }
}

/// What a text says.
fn read(text: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", text, b"\""].concat()).ok()
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

    #[test]
    fn the_envelope_is_found_wherever_it_is_and_wherever_pieces_end() {
        let line = r#" {"data":{"type":"not this","c":["\"}{",{"id":"nor this"}]},"hash":"a\\","id" : "~\u0037",
            "long":"\\\"","n":-1.5,"session":"s3","type":"query_response","u":null} "#;
        let whole = skimmed(&[line.as_bytes()]).unwrap();
        let found = (&*whole.kind, &*whole.session, whole.id.as_deref());
        assert_eq!(found, ("query_response", "s3", Some("~7")));
        for at in 0..line.len() {
            let (one, two) = line.as_bytes().split_at(at);
            assert_eq!(skimmed(&[one, two]).unwrap(), whole, "cut at {at}");
        }
        let pieces: Vec<_> = line.as_bytes().chunks(1).collect();
        assert_eq!(skimmed(&pieces).unwrap(), whole);
    }

    #[test]
    fn a_value_that_is_no_text_is_none() {
        let envelope = skimmed(&[br#"{"id":7,"session":["s1"],"type":"x","tag":{"a":"b"}}"#]);
        let envelope = envelope.unwrap();
        assert_eq!((&*envelope.kind, &*envelope.session), ("x", ""));
        assert_eq!((envelope.id, envelope.tag), (None, None));
    }

    #[test]
    fn a_line_that_begins_like_none_is_no_message() {
        for line in ["text", "[{}]", "\"{\"", "  x", "}"] {
            assert_eq!(skimmed(&[line.as_bytes()]), Err(NoMessage), "{line}");
        }
        assert!(skimmed(&[b"  "]).is_ok(), "it may yet begin");
    }
}
