//! The API, row by row.

use plushie_pool::{RendererMode, WireFormat};
use serde_json::Value;

use crate::support::{click, counter, everywhere, find, pool, show, snapshot};

everywhere! { a_counter_counts }

async fn a_counter_counts(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    for count in 1..=5 {
        let clicked = session
            .request(&click("increment"), "interact_response")
            .await
            .unwrap();
        let clicked: Value = clicked.decode().unwrap();
        assert_eq!(clicked["events"][0]["family"], "click", "{clicked}");
        session.send(&show(count)).await.unwrap();
        let found = session
            .request(&find("count"), "query_response")
            .await
            .unwrap();
        let found: Value = found.decode().unwrap();
        assert_eq!(
            found["data"]["props"]["content"],
            count.to_string(),
            "{found}"
        );
        assert_eq!(found["session"], session.id().to_string());
    }
    session.unregister().await.unwrap();
    assert_eq!(pool.status().sessions, 0);
    pool.shutdown().await.unwrap();
}
