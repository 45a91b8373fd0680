//! From a payload to what routing needs of it.

use std::borrow::Cow;

use plushie_pool_core::Envelope;

use crate::scan::{Malformed, Scanner, Token};

pub(crate) fn envelope(payload: &[u8]) -> Result<Envelope<'_>, Malformed> {
    let mut scanner = Scanner::new(payload);
    let Token::Map(entries) = scanner.token()? else {
        return Err(Malformed::NotAMap);
    };
    let mut found = Found::default();
    for _ in 0..entries {
        let slot = match scanner.token()? {
            Token::Str(key) => found.slot(key),
            other => scanner.finish(other).map(|()| None)?,
        };
        let text = match scanner.token()? {
            Token::Str(text) => Some(text),
            other => scanner.finish(other).map(|()| None)?,
        };
        let Some((name, slot)) = slot else {
            continue;
        };
        let text = text.map(std::str::from_utf8).transpose();
        if slot.replace(text.map_err(|_| Malformed::Utf8)?).is_some() {
            return Err(Malformed::Twice(name));
        }
    }
    scanner.end()?;
    found.into_envelope()
}

/// For each key of the envelope whether it was there, and if so, whether as a string.
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

type Slot<'a> = Option<Option<&'a str>>;

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
        let kind = self.kind.flatten().ok_or(Malformed::NoText("type"))?;
        let session = self.session.unwrap_or(Some(""));
        let session = session.ok_or(Malformed::NoText("session"))?;
        let text = |slot: Slot<'a>| slot.flatten().map(Cow::Borrowed);
        Ok(Envelope {
            kind: kind.into(),
            session: session.into(),
            id: text(self.id),
            family: text(self.family),
            tag: text(self.tag),
            stub: text(self.stub),
            value: text(self.value),
        })
    }
}
