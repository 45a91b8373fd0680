//! The question that proves a renderer of use.

use serde::Serialize;

/// The cheapest request that has an answer, a `query_response`.
pub fn probe() -> impl Serialize + Send + Sync {
    #[derive(Serialize)]
    struct Query {
        r#type: &'static str,
        target: &'static str,
        selector: Selector,
    }
    #[derive(Serialize)]
    struct Selector {}

    Query {
        r#type: "query",
        target: "find",
        selector: Selector {},
    }
}
