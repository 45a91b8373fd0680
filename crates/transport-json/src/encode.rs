//! From a message to a line.

use bytes::Bytes;
use plushie_pool_core::framing::check_len;
use plushie_pool_core::strict::Strict;
use plushie_pool_core::{Error, ErrorKind, Header};

pub(crate) fn encode(
    header: Header<'_>,
    body: &dyn erased_serde::Serialize,
) -> Result<Bytes, Error> {
    let mut line = b"{\"session\":".to_vec();
    write(&mut line, &header.session)?;
    if let Some(id) = header.id {
        line.extend_from_slice(b",\"id\":");
        write(&mut line, &id)?;
    }

    // The body goes where it stays: the brace that opens it becomes a comma, and the one that
    // closes it closes the whole.
    let start = line.len();
    write(&mut line, body)?;
    let body = &mut line[start..];
    let Some((open @ b'{', rest)) = body.split_first_mut() else {
        return Err(Error::new(
            ErrorKind::InvalidMessage,
            "the message is not a map",
        ));
    };
    let is_empty = rest.trim_ascii_start() == b"}";
    *open = if is_empty { b' ' } else { b',' };
    // In JSON a raw newline is a space. serde_json writes none, but passes on one in text
    // that is JSON already (`RawValue`), and it would end the message.
    for byte in rest {
        if *byte == b'\n' {
            *byte = b' ';
        }
    }

    line.push(b'\n');
    // The renderer counts the newline in.
    check_len(line.len())?;
    Ok(line.into())
}

fn write(out: &mut Vec<u8>, value: &dyn erased_serde::Serialize) -> Result<(), Error> {
    let mut json = serde_json::Serializer::new(out);
    erased_serde::serialize(value, Strict::text(&mut json)).map_err(|error| {
        Error::new(
            ErrorKind::Encode,
            format!("the message cannot be written as JSON: {error}"),
        )
    })
}
