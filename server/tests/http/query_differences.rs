//! Where queries are answered differently from InfluxDB 1.6.7, on purpose, and no rule of one answer tells how: both sides,
//! one after another. The reasons are in docs/differences.md.

use tandem_http::{Method, percent_encode};
use tandem_server::Config;

use crate::common::{Caller, Running};
use crate::influxd::{Influxd, documented};

/// What is asked of which lines, and the series of the answer: here, and of InfluxDB.
struct Difference {
    name: &'static str,
    lines: &'static str,
    statement: &'static str,
    ours: &'static str,
    theirs: &'static str,
}

const DIFFERENCES: [Difference; 3] = [
    Difference {
        name: "split-series",
        lines: "m,region=us f=7,i=7i 1\nm,host=a,region=eu i=8i 1",
        statement: "SELECT f, i FROM (SELECT sum(f) AS f, max(i) AS i FROM m GROUP BY host, region) GROUP BY region",
        ours: "{\"name\":\"m\",\"tags\":{\"region\":\"eu\"},\"columns\":[\"time\",\"f\",\"i\"],\"values\":[[0,null,8]]},\
               {\"name\":\"m\",\"tags\":{\"region\":\"us\"},\"columns\":[\"time\",\"f\",\"i\"],\"values\":[[0,7,7]]}",
        theirs: "{\"name\":\"m\",\"tags\":{\"region\":\"us\"},\"columns\":[\"time\",\"f\",\"i\"],\"values\":[[0,7,null]]},\
                 {\"name\":\"m\",\"tags\":{\"region\":\"eu\"},\"columns\":[\"time\",\"f\",\"i\"],\"values\":[[0,null,8]]},\
                 {\"name\":\"m\",\"tags\":{\"region\":\"us\"},\"columns\":[\"time\",\"f\",\"i\"],\"values\":[[0,null,7]]}",
    },
    // In the order in which they are added up, either the first three or the last ones are lost beside the large number.
    Difference {
        name: "rounding",
        lines: "m f=1 1\nm f=1e16 2\nm f=1 3\nm f=-1e16 4\nm,h=a f=1 5\nm,h=b f=1 6\nm,h=b f=1 6000000000000",
        statement: "SELECT sum(f) FROM m ORDER BY time DESC",
        ours: "{\"name\":\"m\",\"columns\":[\"time\",\"sum\"],\"values\":[[0,3]]}",
        theirs: "{\"name\":\"m\",\"columns\":[\"time\",\"sum\"],\"values\":[[0,4]]}",
    },
    Difference {
        name: "rounding",
        lines: "m f=7.5 1",
        statement: "SELECT log(f, 3) FROM m",
        ours: "{\"name\":\"m\",\"columns\":[\"time\",\"log\"],\"values\":[[1,1.8340437671464696]]}",
        theirs: "{\"name\":\"m\",\"columns\":[\"time\",\"log\"],\"values\":[[1,1.8340437671464698]]}",
    },
];

/// The answer to the statement about the lines, in a database of their own whose shards have an hour.
async fn answer(caller: &Caller, difference: &Difference) -> String {
    let made = "CREATE DATABASE q WITH DURATION INF SHARD DURATION 1h";
    for statement in ["DROP DATABASE q", made] {
        let target = format!("/query?q={}", percent_encode(statement));
        assert_eq!(caller.post(&target, "").await.status, 200, "{statement}");
    }
    let written = caller.post("/write?db=q", difference.lines).await;
    assert_eq!(written.status, 204, "{}", difference.lines);
    let statement = percent_encode(difference.statement);
    let target = format!("/query?db=q&epoch=ns&q={statement}");
    let got = caller.call(Method::GET, &target, &[], "").await;
    got.text().trim().to_owned()
}

async fn play(caller: &Caller, is_ours: bool) {
    for difference in &DIFFERENCES {
        let series = match is_ours {
            true => difference.ours,
            false => difference.theirs,
        };
        let expected = format!("{{\"results\":[{{\"statement_id\":0,\"series\":[{series}]}}]}}");
        let found = answer(caller, difference).await;
        assert_eq!(
            found, expected,
            "{}: {}",
            difference.name, difference.statement
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn here() {
    let running = Running::bare(Config::default()).await;
    play(&running.api(), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_influxdb() {
    if let Some(real) = Influxd::installed("").await {
        play(&real.caller, false).await;
    }
}

/// Every difference has its entry.
#[test]
fn the_docs_name_them() {
    let documented = documented("## Queries");
    for difference in &DIFFERENCES {
        assert!(documented.contains(&difference.name), "{}", difference.name);
    }
}
