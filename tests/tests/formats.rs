//! What a caller may send, and how it arrives, does not depend on the wire format.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use plushie_pool::{Binary, ErrorKind, Session, SessionPool, WireFormat};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

/// Anything that can be written, as a property of the one node there is.
type Written = Box<dyn erased_serde::Serialize + Send + Sync>;

#[derive(Serialize)]
struct Snapshot<'a> {
    r#type: &'static str,
    tree: Node<'a>,
}

#[derive(Serialize)]
struct Node<'a> {
    id: &'static str,
    r#type: &'static str,
    props: BTreeMap<&'static str, &'a Written>,
    children: [(); 0],
}

async fn pools() -> [SessionPool; 2] {
    let mut pools = Vec::new();
    for format in WireFormat::ALL {
        let builder = SessionPool::builder()
            .renderer(env!("CARGO_BIN_EXE_plushie-pool-test-renderer"))
            .format(format);
        pools.push(builder.start().await.unwrap());
    }
    pools.try_into().unwrap()
}

/// Sends a value to the renderer as a property, and reads the property back.
async fn there_and_back<T: DeserializeOwned>(
    session: &Session,
    value: &Written,
) -> Result<T, plushie_pool::Error> {
    #[derive(Deserialize)]
    struct Found<T> {
        data: Shown<T>,
    }
    #[derive(Deserialize)]
    struct Shown<T> {
        props: Props<T>,
    }
    #[derive(Deserialize)]
    struct Props<T> {
        probe: T,
    }
    let snapshot = Snapshot {
        r#type: "snapshot",
        tree: Node {
            id: "main",
            r#type: "window",
            props: BTreeMap::from([("probe", value)]),
            children: [],
        },
    };
    session.send(&snapshot).await?;
    let query =
        json!({"type": "query", "target": "find", "selector": {"by": "id", "value": "main"}});
    let reply = session.request(&query, "query_response").await?;
    let found: Found<T> = reply.decode()?;
    Ok(found.data.props.probe)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Newtype(u16);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Variant {
    Plain,
    Newtype(u8),
    Tuple(u8, u8),
    Struct { a: u8 },
}

/// Bytes that are not [`Binary`].
struct Bytes(&'static [u8]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A map with one key of any type.
struct Keyed<K>(K);

impl<K: Serialize> Serialize for Keyed<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.0, 1)])
    }
}

fn written(value: impl Serialize + Send + Sync + 'static) -> Written {
    Box::new(value)
}

#[tokio::test]
async fn what_is_sent_arrives_the_same_in_both_formats() {
    let table: Vec<(&str, Written, Value)> = vec![
        ("unit", written(()), json!(null)),
        ("unit struct", written(Unit), json!(null)),
        ("none", written(None::<u8>), json!(null)),
        ("some", written(Some(Newtype(300))), json!(300)),
        ("boolean", written(true), json!(true)),
        ("character", written('\u{e9}'), json!("\u{e9}")),
        ("i64::MIN", written(i64::MIN), json!(i64::MIN)),
        ("i64::MAX", written(i64::MAX), json!(i64::MAX)),
        ("i128", written(-5_i128), json!(-5)),
        ("u128", written(5_u128), json!(5)),
        ("f32", written(0.1_f32), json!(f64::from(0.1_f32))),
        ("f64", written(0.1_f64), json!(0.1)),
        ("whole float", written(2.0_f64), json!(2.0)),
        ("tuple", written((1, "a")), json!([1, "a"])),
        ("variant", written(Variant::Plain), json!("Plain")),
        (
            "newtype variant",
            written(Variant::Newtype(1)),
            json!({"Newtype": 1}),
        ),
        (
            "tuple variant",
            written(Variant::Tuple(1, 2)),
            json!({"Tuple": [1, 2]}),
        ),
        (
            "struct variant",
            written(Variant::Struct { a: 1 }),
            json!({"Struct": {"a": 1}}),
        ),
        ("address", written(Ipv4Addr::LOCALHOST), json!("127.0.0.1")),
        (
            "duration",
            written(Duration::from_millis(1500)),
            json!({"secs": 1, "nanos": 500_000_000}),
        ),
        ("binary", written(Binary::from(&b"hi"[..])), json!("aGk=")),
        ("bytes", written(Bytes(b"hi")), json!("aGk=")),
        ("integer key", written(Keyed(-7)), json!({"-7": 1})),
        (
            "wide key",
            written(Keyed(u128::MAX)),
            json!({u128::MAX.to_string(): 1}),
        ),
        ("boolean key", written(Keyed(true)), json!({"true": 1})),
        (
            "character key",
            written(Keyed('\u{e9}')),
            json!({"\u{e9}": 1}),
        ),
        ("float key", written(Keyed(0.5)), json!({"0.5": 1})),
        ("newtype key", written(Keyed(Newtype(7))), json!({"7": 1})),
        (
            "variant key",
            written(Keyed(Variant::Plain)),
            json!({"Plain": 1}),
        ),
        (
            "bytes key",
            written(Keyed(Bytes(b"hi"))),
            json!({"aGk=": 1}),
        ),
        (
            "address key",
            written(Keyed(Ipv4Addr::LOCALHOST)),
            json!({"127.0.0.1": 1}),
        ),
    ];
    for pool in pools().await {
        let session = pool.register().await.unwrap();
        for (name, value, expected) in &table {
            let arrived: Value = there_and_back(&session, value).await.unwrap();
            assert_eq!(arrived, *expected, "{name} in {}", pool.status().format);
        }
    }
}

#[tokio::test]
async fn what_one_format_cannot_say_is_refused_in_both() {
    let mut table: Vec<(&str, Written, &str)> = vec![
        ("NaN", written(f64::NAN), "NaN"),
        ("infinity", written(f64::INFINITY), "inf"),
        ("single infinity", written(f32::NEG_INFINITY), "-inf"),
        ("a wide integer", written(i128::MIN), "64 bits"),
        ("a wide natural number", written(u128::MAX), "64 bits"),
        ("no key", written(Keyed(None::<u8>)), "for a key"),
        ("a unit as key", written(Keyed(())), "for a key"),
        ("an array as key", written(Keyed([1])), "for a key"),
        ("a map as key", written(Keyed(Keyed(1))), "for a key"),
        (
            "a variant with data as key",
            written(Keyed(Variant::Newtype(1))),
            "for a key",
        ),
        ("NaN as key", written(Keyed(f64::NAN)), "for a key"),
    ];
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(vec![0xff]));
        table.push(("a path that is not UTF-8", written(path), "UTF-8"));
    }
    for pool in pools().await {
        let session = pool.register().await.unwrap();
        for (name, value, says) in &table {
            let error = there_and_back::<Value>(&session, value).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode, "{name}: {error}");
            let text = error.to_string();
            assert!(
                text.contains(says),
                "{name} in {}: {text}",
                pool.status().format
            );
        }
        // Nothing was sent, and the session goes on.
        let fine = written("fine");
        let arrived: String = there_and_back(&session, &fine).await.unwrap();
        assert_eq!(arrived, "fine");
    }
}

#[tokio::test]
async fn what_is_read_back_is_what_was_sent_in_both_formats() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        unit: (),
        unit_struct: Unit,
        character: char,
        address: IpAddr,
        duration: Duration,
        single: f32,
        variants: Vec<Variant>,
        integers: BTreeMap<i32, u8>,
        newtypes: BTreeMap<Newtype, u8>,
        booleans: BTreeMap<bool, u8>,
        addresses: BTreeMap<IpAddr, u8>,
        keyed: BTreeMap<Variant, u8>,
        binary: Option<Binary>,
        numbers: Option<Vec<u8>>,
        wide: u128,
    }
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let everything = Everything {
        unit: (),
        unit_struct: Unit,
        character: 'x',
        address,
        duration: Duration::from_millis(1),
        single: 0.1,
        variants: vec![
            Variant::Plain,
            Variant::Newtype(1),
            Variant::Tuple(1, 2),
            Variant::Struct { a: 3 },
        ],
        integers: BTreeMap::from([(-1, 1), (7, 2)]),
        newtypes: BTreeMap::from([(Newtype(3), 1)]),
        booleans: BTreeMap::from([(true, 1)]),
        addresses: BTreeMap::from([(address, 1)]),
        keyed: BTreeMap::from([(Variant::Plain, 1)]),
        binary: Some(Binary::from(&b"hi"[..])),
        numbers: Some(vec![1, 2]),
        wide: 5,
    };
    for pool in pools().await {
        let session = pool.register().await.unwrap();
        let back: Everything = there_and_back(&session, &written(everything.clone()))
            .await
            .unwrap();
        assert_eq!(back, everything, "in {}", pool.status().format);
    }
}
