//! pip installs the fixtures, with nothing but the sandbox.

use std::path::Path;

use cheesewire::sandbox::Sandbox;

use crate::support::programs::{self, client_program, fresh_environment};
use crate::support::sandbox;

async fn run(program: &Path, arguments: &[&str]) -> String {
    programs::run(client_program(program).args(arguments)).await
}

async fn install(sandbox: &Sandbox, python: &Path, arguments: &[&str]) {
    let index = format!("{}simple/", sandbox.url());
    let fixed = ["-m", "pip", "install", "--no-cache-dir", "--index-url", &index];
    run(python, &[&fixed, arguments].concat()).await;
}

#[tokio::test]
#[ignore = "needs python3 with venv"]
async fn pip_installs_every_installable_project_and_its_sdist() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let venv = folder.path().join("venv");
    let python = fresh_environment(&venv).await.join("python");
    let mut installed = 0;
    for project in sandbox.projects() {
        // What has no file that this interpreter may take is not for pip.
        let unusable = ["no-files", "no-releases", "quarantined-project"];
        if unusable.contains(&project.name.as_str()) {
            continue;
        }
        let pre = if project.name == "only-pre" { "--pre" } else { "--progress-bar=off" };
        // pip takes no yanked release unless it is named exactly.
        let wanted = if project.name == "yanked-all" { "yanked-all==0.2" } else { &project.name };
        install(&sandbox, &python, &["--force-reinstall", pre, wanted]).await;
        installed += 1;
        let has_sdist = project.files().any(|(_, upload)| upload.file.tag == "source");
        // The other half of the release's files: pip builds a wheel with the backend inside.
        if has_sdist {
            let only = ["--force-reinstall", "--no-deps", "--no-binary", ":all:", pre, wanted];
            install(&sandbox, &python, &only).await;
        }
    }
    assert!(installed >= 24, "{installed}");
    install(&sandbox, &python, &["extra-toppings[all]"]).await;
    let program = "import wire_top, chain_d, tool_script; print(wire_top.__version__)";
    assert_eq!(run(&python, &["-c", program]).await.trim(), "2.0");
    assert_eq!(run(&venv.join("bin/tool-script"), &[]).await.trim(), "tool-script 1.0");
    run(&python, &["-m", "pip", "check"]).await;
    let verify = "import base64, hashlib, importlib.metadata as metadata\n\
        count = 0\n\
        for file in metadata.files('big-wheel') + metadata.files('many-versions') + metadata.files('wire-core'):\n\
        \x20   if file.hash:\n\
        \x20       digest = hashlib.sha256(file.locate().read_bytes()).digest()\n\
        \x20       assert base64.urlsafe_b64encode(digest).rstrip(b'=').decode() == file.hash.value, file\n\
        \x20       count += 1\n\
        assert count > 9, count";
    run(&python, &["-c", verify]).await;
}
