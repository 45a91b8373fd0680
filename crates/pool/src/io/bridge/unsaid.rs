//! Replies that are too long for their client: it gets one without a body, under its own id.

use plushie_pool_core::link::TOO_LARGE;
use plushie_pool_core::{Error, ErrorKind, MAX_PAYLOAD, Message};
use serde::Serialize;

use super::Bridge;

impl Bridge {
    /// The client's format could not express what the renderer said: the answer to request `id`,
    /// or something that nothing waits for.
    pub(super) fn leave_unsaid(&mut self, name: &str, id: Option<&str>, message: &Message) {
        // In base64, as JSON has it, a picture takes a third more.
        let size = message.payload().len().div_ceil(3) * 4;
        if size <= MAX_PAYLOAD {
            // Its format has no word for a number in it, say; `try_to_say` has logged that.
            return;
        }
        let text = format!(
            "a {} takes about {size} bytes in the client's format, over the limit of \
             {MAX_PAYLOAD} (64 MiB); ask for less, or speak MessagePack",
            message.kind()
        );
        match id {
            Some(id) => {
                let error = Error::new(ErrorKind::ReplyTooLarge, text);
                self.answer_without_body(name, id, message.kind(), error, size);
            }
            None => self.say_overflow(name, size, &text),
        }
    }

    /// Ends the client's request `id`, whose reply was too long to pass on.
    pub(super) fn answer_without_body(
        &mut self,
        name: &str,
        id: &str,
        reply: &str,
        error: Error,
        size: usize,
    ) {
        let error = error.without_address().to_string();
        tracing::warn!(session = name, id, reply, %error, "answered a client without the body");
        // First, so that it is known when the answer comes.
        self.say_overflow(name, size, &error);
        self.say(name, Some(id), &Bodiless::new(reply, &error));
    }

    /// In the renderer's own words, which every SDK can read.
    fn say_overflow(&mut self, name: &str, size: usize, detail: &str) {
        let overflow = Overflow {
            r#type: "diagnostic",
            level: "warn",
            diagnostic: OverflowDetail {
                kind: "buffer_overflow",
                size,
                limit: MAX_PAYLOAD,
                detail,
            },
        };
        self.say(name, None, &overflow);
    }
}

/// `type` of the answer to a request of this `type`.
pub(super) fn reply_to(kind: &str) -> &'static str {
    match kind {
        "query" => "query_response",
        "tree_hash" => "tree_hash_response",
        "screenshot" => "screenshot_response",
        "interact" => "interact_response",
        "effect" => "effect_response",
        _ => "op_query_response",
    }
}

#[derive(Serialize)]
struct Overflow<'a> {
    r#type: &'static str,
    level: &'static str,
    diagnostic: OverflowDetail<'a>,
}

#[derive(Serialize)]
struct OverflowDetail<'a> {
    kind: &'static str,
    size: usize,
    limit: usize,
    detail: &'a str,
}

/// A reply as a renderer gives it that has nothing to show: a mock one's screenshot, a query that
/// finds nothing. `family` and `value` are for pools of this project.
#[derive(Serialize)]
struct Bodiless<'a> {
    r#type: &'a str,
    family: &'static str,
    value: &'a str,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

impl<'a> Bodiless<'a> {
    fn new(reply: &'a str, error: &'a str) -> Self {
        let when = |matches: bool| matches.then_some("");
        let is_picture = reply == "screenshot_response";
        Self {
            r#type: reply,
            family: TOO_LARGE,
            value: error,
            error,
            name: when(matches!(
                reply,
                "screenshot_response" | "tree_hash_response"
            )),
            hash: when(matches!(
                reply,
                "screenshot_response" | "tree_hash_response"
            )),
            width: is_picture.then_some(0),
            height: is_picture.then_some(0),
            target: (reply == "query_response").then_some("tree"),
            data: matches!(reply, "query_response" | "op_query_response").then_some(()),
            events: (reply == "interact_response").then_some([]),
            status: (reply == "effect_response").then_some("error"),
        }
    }
}
