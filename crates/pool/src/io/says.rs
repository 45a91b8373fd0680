//! What the bridge says to a client in the renderer's place, in the renderer's words.

use serde::Serialize;

/// The end of a connection, and why.
#[derive(Serialize)]
pub(super) struct Fatal<'a> {
    r#type: &'static str,
    message: &'a str,
}

pub(super) fn fatal(message: &str) -> Fatal<'_> {
    Fatal {
        r#type: "error",
        message,
    }
}

/// A session was reset. The header brings the id.
#[derive(Serialize)]
pub(super) struct ResetResponse {
    r#type: &'static str,
    status: &'static str,
}

pub(super) fn reset_response() -> ResetResponse {
    ResetResponse {
        r#type: "reset_response",
        status: "ok",
    }
}

#[derive(Serialize)]
pub(super) struct Event<T> {
    r#type: &'static str,
    family: &'static str,
    id: &'static str,
    data: T,
}

#[derive(Serialize)]
pub(super) struct Nothing {}

pub(super) fn session_closed() -> Event<Nothing> {
    event("session_closed", Nothing {})
}

#[derive(Serialize)]
pub(super) struct Complaint<'a> {
    code: &'a str,
    error: &'a str,
}

pub(super) fn session_error<'a>(code: &'a str, error: &'a str) -> Event<Complaint<'a>> {
    event("session_error", Complaint { code, error })
}

fn event<T>(family: &'static str, data: T) -> Event<T> {
    Event {
        r#type: "event",
        family,
        id: "",
        data,
    }
}

/// What went wrong with something that harms nobody else.
#[derive(Serialize)]
pub(super) struct Diagnostic<'a> {
    r#type: &'static str,
    level: &'static str,
    diagnostic: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    kind: &'a str,
    detail: &'a str,
}

pub(super) fn diagnostic<'a>(kind: &'a str, detail: &'a str) -> Diagnostic<'a> {
    Diagnostic {
        r#type: "diagnostic",
        level: "warn",
        diagnostic: Detail { kind, detail },
    }
}

/// Something that no client acts on, and that shows each that somebody is there: the end of an
/// interact that it never began, in which nothing happened.
#[derive(Serialize)]
pub(super) struct SignOfLife {
    r#type: &'static str,
    events: [(); 0],
}

pub(super) fn sign_of_life() -> SignOfLife {
    SignOfLife {
        r#type: "interact_response",
        events: [],
    }
}

/// What a request looks like whose answer shows that all before it were carried out.
#[derive(Serialize)]
pub(super) struct Barrier {
    r#type: &'static str,
    target: &'static str,
    selector: Nothing,
}

pub(super) fn barrier() -> Barrier {
    Barrier {
        r#type: "query",
        target: "find",
        selector: Nothing {},
    }
}

/// How the whole pool does.
#[derive(Serialize)]
pub(super) struct PoolStatus<'a> {
    r#type: &'static str,
    status: &'a dyn erased_serde::Serialize,
}

pub(super) fn pool_status(status: &dyn erased_serde::Serialize) -> PoolStatus<'_> {
    PoolStatus {
        r#type: "pool_status_response",
        status,
    }
}
