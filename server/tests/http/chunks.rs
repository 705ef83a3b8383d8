//! A chunked answer is a document a chunk, and says what goes on in the next.

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn series_and_statements_are_marked_partial() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m,h=a v=0 0\nm,h=a v=1 1\nm,h=a v=2 2\nm,h=b v=3 3")
        .await;
    let got = api
        .query(
            "SELECT v FROM m GROUP BY h; SHOW DATABASES",
            "&epoch=ns&chunked=true&chunk_size=2",
        )
        .await;
    let head = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"tags\":{\"h\":";
    assert_eq!(
        got.text(),
        format!(
            "{head}\"a\"}},\"columns\":[\"time\",\"v\"],\"values\":[[0,0],[1,1]],\"partial\":true}}],\"partial\":true}}]}}\n\
             {head}\"a\"}},\"columns\":[\"time\",\"v\"],\"values\":[[2,2]]}}],\"partial\":true}}]}}\n\
             {head}\"b\"}},\"columns\":[\"time\",\"v\"],\"values\":[[3,3]]}}]}}]}}\n\
             {{\"results\":[{{\"statement_id\":1,\"series\":[{{\"name\":\"databases\",\"columns\":[\"name\"],\"values\":[[\"db\"]]}}]}}]}}\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_no_number_is_the_default() {
    let running = Running::start().await;
    let lines: String = (0..10_001).map(|n| format!("m v=1 {n}\n")).collect();
    running.api().write(lines).await;
    for size in ["", "x", "0", "-1"] {
        let got = running
            .api()
            .query(
                "SELECT v FROM m",
                &format!("&chunked=true&chunk_size={size}"),
            )
            .await;
        assert_eq!(got.text().lines().count(), 2, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cardinalities_come_one_by_one() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m,h=a v=0 0\nm,h=b v=1 1\nn,h=a v=1 1").await;
    for (statement, [m, n]) in [
        ("SHOW SERIES EXACT CARDINALITY", [2, 1]),
        ("SHOW TAG KEY CARDINALITY", [1, 1]),
        ("SHOW TAG VALUES CARDINALITY WITH KEY = h", [2, 1]),
        ("SHOW FIELD KEY CARDINALITY", [1, 1]),
    ] {
        let got = api.query(statement, "&chunked=true&chunk_size=1").await;
        let head = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":";
        assert_eq!(
            got.text(),
            format!(
                "{head}\"m\",\"columns\":[\"count\"],\"values\":[[{m}]]}}],\"partial\":true}}]}}\n\
                 {head}\"n\",\"columns\":[\"count\"],\"values\":[[{n}]]}}]}}]}}\n"
            ),
            "{statement}"
        );
    }
}
