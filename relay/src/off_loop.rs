//! Work that may block, out of the way of the event loop.

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::backend::joined;

/// Does it on a thread for such work. A runtime of one thread has none to spare: there it is done in place,
/// and so in a fixed order.
pub(crate) async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    joined(tokio::task::spawn_blocking(work).await).await
}
