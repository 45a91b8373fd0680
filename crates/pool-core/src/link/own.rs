//! What the pool itself says to a renderer, and the one thing it must understand.

use serde::{Deserialize, Serialize};

use crate::message::decode_payload;
use crate::{RequestId, Transport};

/// The id of barriers and resets. Callers' ids start at 1.
pub(super) const OWN: RequestId = RequestId::new(0);

/// The id of the `n`-th probe of a session: from the other end, where callers' never get.
pub(super) const fn probe_id(n: u64) -> RequestId {
    RequestId::new(u64::MAX - n)
}

/// Whether an id is one of the pool's own.
pub(super) fn is_own(id: RequestId) -> bool {
    id == OWN || id.number() > u64::MAX / 2
}

#[derive(Serialize)]
struct Empty {}

/// A tree that is the one before.
pub(super) fn empty_patch() -> impl Serialize {
    #[derive(Serialize)]
    struct Patch {
        r#type: &'static str,
        ops: [(); 0],
    }
    Patch {
        r#type: "patch",
        ops: [],
    }
}

/// Ends a session.
pub(super) fn reset() -> impl Serialize {
    #[derive(Serialize)]
    struct Reset {
        r#type: &'static str,
    }
    Reset { r#type: "reset" }
}

/// Ends a renderer that shows a window.
pub(super) fn exit() -> impl Serialize {
    #[derive(Serialize)]
    struct Exit {
        r#type: &'static str,
        op: &'static str,
        payload: Empty,
    }
    Exit {
        r#type: "widget_op",
        op: "exit",
        payload: Empty {},
    }
}

/// The code and text of a `session_error`: under `data` in 0.7.1, under `value` later.
pub(super) fn complaint(transport: &dyn Transport, payload: &[u8]) -> (String, String) {
    #[derive(Deserialize)]
    struct Complaint {
        #[serde(alias = "value")]
        data: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        code: String,
        #[serde(default, alias = "message")]
        error: String,
    }
    match decode_payload::<Complaint>(transport, payload) {
        Ok(Complaint { data }) => (data.code, data.error),
        Err(error) => ("unknown".into(), error.to_string()),
    }
}
