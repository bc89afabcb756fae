//! What counts as a use of a kept file.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::blob::Inventory;

impl Bench {
    /// The uses of the one kept file, written back.
    async fn uses(&self) -> f64 {
        let ended = CancellationToken::new();
        ended.cancel();
        self.resources.store.tend(ended).await;
        let inventory = Inventory::of(self.folder.path());
        inventory.shelves().flat_map(|shelf| shelf.unwrap().kept).next().unwrap().uses
    }
}

#[tokio::test]
async fn a_download_in_sixteen_parts_is_one_use_and_a_look_is_none() {
    let bench = Bench::new(vec![Reply::good(&file())]).await;
    right(bench.get().await).await;
    bench.quiet().await;
    let come = bench.uses().await;
    let part = file().len() / 16;
    for n in 0..16 {
        right(bench.range(&format!("bytes={}-{}", n * part, (n + 1) * part - 1)).await).await;
        bench.serve(Conditions { head: true, ..Conditions::default() }).await.unwrap();
    }
    let parts = bench.uses().await;
    assert!((parts - come - 1.0).abs() < 0.1, "{come}, then {parts}");
    right(bench.get().await).await;
    let whole = bench.uses().await;
    assert!((whole - parts - 1.0).abs() < 0.1, "{parts}, then {whole}");
}
