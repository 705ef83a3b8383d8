//! The page is served with a strict policy, together with the API that it calls.

use tandem_http::Method;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_come_from_one_origin() {
    let running = Running::start().await;
    if !tandem_server::page::is_built() {
        println!(
            "the full page was not built (no Node.js or npm registry): only the plain one is tested"
        );
    }
    for (caller, prefix) in [(running.page(), "/"), (running.api(), "/ui/")] {
        let got = caller.get(prefix).await;
        assert_eq!(
            (got.status, got.header("content-type").as_str()),
            (200, "text/html; charset=utf-8")
        );
        assert!(
            got.header("content-security-policy")
                .starts_with("default-src 'self';")
        );
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        let html = got.text();
        let mut files = 0;
        for attribute in ["src=\"", "href=\""] {
            for (at, _) in html.match_indices(attribute) {
                let link = &html[at + attribute.len()..];
                let link = &link[..link.find('"').unwrap()];
                // A view of the same page.
                if link.starts_with("#/") {
                    continue;
                }
                let path = link
                    .strip_prefix("./")
                    .unwrap_or_else(|| panic!("{link} leaves the page"));
                let got = caller.get(&format!("{prefix}{path}")).await;
                assert_eq!(got.status, 200, "{path}");
                assert_eq!(got.header("x-content-type-options"), "nosniff");
                assert!(!got.body.is_empty());
                files += 1;
            }
        }
        assert_eq!(files > 0, tandem_server::page::is_built());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_beside_the_page() {
    let running = Running::start().await;
    let page = running.page();
    assert_eq!(page.post("/write?db=db", "m v=1 1").await.status, 204);
    assert!(
        page.query("SHOW MEASUREMENTS", "")
            .await
            .text()
            .contains("[\"m\"]")
    );
    assert_eq!(page.get("/ping").await.status, 204);
    assert_eq!(page.get("/health").await.status, 200);
    assert!(
        running
            .api()
            .query("SHOW MEASUREMENTS", "")
            .await
            .text()
            .contains("[\"m\"]")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_served() {
    let running = Running::start().await;
    let got = running.api().get("/ui").await;
    assert_eq!((got.status, got.header("location").as_str()), (308, "/ui/"));
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets", "/ui/"] {
        assert_eq!(running.page().get(path).await.status, 404, "{path}");
    }
    assert_eq!(
        running.page().call(Method::POST, "/", &[], "").await.status,
        404
    );
    let got = running.page().call(Method::HEAD, "/", &[], "").await;
    assert_eq!((got.status, got.body.len()), (200, 0));
}
