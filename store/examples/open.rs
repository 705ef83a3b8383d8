//! How long opening takes: `cargo run --release -p tandem-store --example open DIR [TIMES]`, of a store
//! that nobody has open.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tandem_store::{Options, Store};
use tandem_vfs::RealFs;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let times: u32 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    for _ in 0..times {
        let options = Options {
            background: false,
            ..Options::default()
        };
        let begun = Instant::now();
        let store = Store::open(Arc::new(RealFs), Path::new(&dir), options)?;
        println!("{:.3} s", begun.elapsed().as_secs_f64());
        store.close()?;
    }
    Ok(())
}
