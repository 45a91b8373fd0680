//! Pictures: megabytes of binary data, the same in every format.

use plushie_pool::{Binary, RendererMode, SessionPool, WireFormat};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{counter, pool, shown, snapshot};

#[derive(Debug, Deserialize)]
struct Picture {
    width: usize,
    height: usize,
    hash: String,
    rgba: Binary,
}

async fn picture(format: WireFormat) -> (SessionPool, Picture, Value) {
    let pool = pool(RendererMode::Headless, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(5))).await.unwrap();
    let take = json!({"type": "screenshot", "name": "big", "width": 1024, "height": 768});
    let taken = session.request(&take, "screenshot_response");
    let reply = taken.await.unwrap();
    let (picture, value) = (reply.decode().unwrap(), reply.decode().unwrap());
    // It cost nobody anything.
    assert_eq!(shown(&session).await, "5");
    assert_eq!(pool.status().counters.malformed, 0);
    (pool, picture, value)
}

#[tokio::test]
async fn a_picture_of_megabytes_is_the_same_in_both_formats() {
    let (_json_pool, json, json_value) = picture(WireFormat::Json).await;
    let (_msgpack_pool, msgpack, msgpack_value) = picture(WireFormat::Msgpack).await;
    assert_eq!((json.width, json.height), (1024, 768));
    assert_eq!(json.rgba.len(), 1024 * 768 * 4);
    assert!(json.rgba.iter().any(|byte| *byte != json.rgba[0]), "blank");
    assert_eq!(json.hash, msgpack.hash);
    assert!(json.rgba == msgpack.rgba, "the pixels differ");

    // A type that knows no bytes gets text, whatever the format.
    let text = json_value["rgba"].as_str().unwrap();
    assert!(text.len() > 4_000_000, "{} bytes", text.len());
    assert!(json_value["rgba"] == msgpack_value["rgba"]);
}
