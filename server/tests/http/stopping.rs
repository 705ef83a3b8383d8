//! A stop loses nothing that was acknowledged and leaves no listener behind.

use tandem_http::Drained;
use tokio::net::TcpStream;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_both_listeners() {
    let running = Running::start().await;
    let (api, page) = (
        running.server.api_addr(),
        running.server.page_addr().unwrap(),
    );
    running.api().write("m v=1 1").await;
    assert_eq!(running.server.stop().await, Drained { cut_off: 0 });
    for addr in [api, page] {
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
