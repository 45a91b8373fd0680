//! From a line to what routing needs of it.

use std::borrow::Cow;

use plushie_pool_core::Envelope;
use serde::Deserialize;

use crate::scan::{Malformed, Scanner};

/// What to do about a key that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubled {
    Refuse,
    /// As a renderer reads what a host sends.
    TakeLast,
}

/// Reads the envelope of a message; the rest is passed over.
pub(crate) fn envelope(payload: &[u8], doubled: Doubled) -> Result<Envelope<'_>, Malformed> {
    let mut scanner = Scanner::new(payload);
    if scanner.peek().ok() != Some(b'{') {
        return Err(Malformed::NotAMap);
    }
    scanner.take()?;
    let mut found = Found::default();
    let mut first = true;
    loop {
        match scanner.peek()? {
            b'}' if first => break,
            b'"' => {}
            other => return Err(Malformed::Unexpected(other)),
        }
        first = false;
        entry(&mut scanner, &mut found, doubled)?;
        match scanner.take()? {
            b',' => {}
            b'}' => {
                scanner.end()?;
                return found.into_envelope();
            }
            other => return Err(Malformed::Unexpected(other)),
        }
    }
    Err(Malformed::NoText("type"))
}

fn entry<'a>(
    scanner: &mut Scanner<'a>,
    found: &mut Found<'a>,
    doubled: Doubled,
) -> Result<(), Malformed> {
    let key = scanner.text()?;
    let slot = if key.contains(&b'\\') {
        found.slot(read(key)?.as_bytes())
    } else {
        found.slot(key)
    };
    scanner.expect(b':')?;
    let Some((name, slot)) = slot else {
        return scanner.skip(1);
    };
    let value = match scanner.peek()? {
        b'"' => Some(read(scanner.text()?)?),
        _ => scanner.skip(1).map(|()| None)?,
    };
    match slot.replace(value) {
        Some(_) if doubled == Doubled::Refuse => Err(Malformed::Twice(name)),
        _ => Ok(()),
    }
}

/// What a text says.
fn read(text: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'\\';
    if text.iter().all(plain) {
        let text = std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
        return Ok(Cow::Borrowed(text));
    }
    let quoted = [b"\"", text, b"\""].concat();
    let mut json = serde_json::Deserializer::from_slice(&quoted);
    let text = String::deserialize(&mut json).map_err(Malformed::Text)?;
    Ok(Cow::Owned(text))
}

/// For each key of the envelope whether it was there, and if so, whether as a text.
#[derive(Default)]
struct Found<'a> {
    kind: Slot<'a>,
    session: Slot<'a>,
    id: Slot<'a>,
    family: Slot<'a>,
    tag: Slot<'a>,
    stub: Slot<'a>,
    value: Slot<'a>,
}

type Slot<'a> = Option<Option<Cow<'a, str>>>;

impl<'a> Found<'a> {
    fn slot(&mut self, key: &[u8]) -> Option<(&'static str, &mut Slot<'a>)> {
        Some(match key {
            b"type" => ("type", &mut self.kind),
            b"session" => ("session", &mut self.session),
            b"id" => ("id", &mut self.id),
            b"family" => ("family", &mut self.family),
            b"tag" => ("tag", &mut self.tag),
            b"kind" => ("kind", &mut self.stub),
            b"value" => ("value", &mut self.value),
            _ => return None,
        })
    }

    fn into_envelope(self) -> Result<Envelope<'a>, Malformed> {
        let session = self.session.unwrap_or(Some(Cow::Borrowed("")));
        Ok(Envelope {
            kind: self.kind.flatten().ok_or(Malformed::NoText("type"))?,
            session: session.ok_or(Malformed::NoText("session"))?,
            id: self.id.flatten(),
            family: self.family.flatten(),
            tag: self.tag.flatten(),
            stub: self.stub.flatten(),
            value: self.value.flatten(),
        })
    }
}
