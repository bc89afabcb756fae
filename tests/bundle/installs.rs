//! The real pip, from a relay without an upstream.

use super::*;
use crate::support::programs::{client_program, fresh_environment, run as run_program};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv"]
async fn pip_installs_from_a_relay_that_has_only_a_bundle() {
    let mut exporter = Exporter::serving().await;
    let python = fresh_environment(&exporter.path("venv")).await.join("python");
    let pip = async |relay: &str, arguments: &[&str]| {
        let index = format!("{relay}simple/");
        let fixed = ["-m", "pip", "install", "--no-cache-dir", "--force-reinstall", "--index-url", &index];
        let mut program = client_program(&python);
        program.args([&fixed[..], arguments].concat());
        program
    };
    run_program(&mut pip(exporter.url(), &["wire-top", "tool-script"]).await).await;
    // A mirror's client has fetched this wheel, and no metadata of it.
    let chain = exporter.sandbox.project("chain-d").unwrap();
    get(&format!("{}simple/chain-d/", exporter.url())).await;
    for (_, upload) in chain.files() {
        assert_eq!(get(&format!("{}packages/{}", exporter.url(), upload.file.path)).await.status, 200);
    }
    let bundle = exporter.export("first.bundle", &[]).await;
    let data = exporter.path("importer");
    done(&exporter.import(&bundle, &data).await);
    exporter.stop().await;
    let Exporter { sandbox, place, .. } = exporter;
    drop(sandbox);
    let relay = imported(&data).await;
    run_program(&mut pip(&relay.url, &["wire-top", "tool-script"]).await).await;
    let mut program = client_program(&python);
    program.args(["-c", "import wire_top, tool_script; print(wire_top.__version__)"]);
    assert_eq!(run_program(&mut program).await.trim(), "2.0");
    run_program(&mut pip(&relay.url, &["--no-deps", "chain-d"]).await).await;
    // What was not carried is told at once, and not asked for again and again.
    // pip gives the reason only to who wants to know more.
    let output = pip(&relay.url, &["-vv", "big-wheel"]).await.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.matches("504 Server Error").count() == 1, "{said}");
    drop(place);
}
