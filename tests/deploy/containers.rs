//! The files that run the container image: what they name is there.

use std::collections::BTreeSet;

use cheesewire::config::{Config, Sources};
use tokio::process::Command;

use super::text;
use crate::support::programs::{environment, run};

const COMPOSE: &str = "container/compose.yaml";
const KUBERNETES: &str = "kubernetes/cheesewire.yaml";

/// The words of a file that begin so, up to what is no part of a name.
fn beginning(text: &str, start: &str) -> Vec<String> {
    let name = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':')).collect()
    };
    text.match_indices(start).map(|(at, _)| name(&text[at..])).collect()
}

#[test]
fn they_set_what_is_a_setting_and_name_this_version() {
    let settings = Config::described(Sources::default()).unwrap();
    let variable = |key: &str| format!("CHEESEWIRE_{}", key.to_ascii_uppercase().replace('.', "__"));
    let settings: BTreeSet<_> = settings.iter().map(|setting| variable(setting.key)).collect();
    for file in [COMPOSE, KUBERNETES] {
        let text = text(file);
        let named = beginning(&text, "CHEESEWIRE_");
        assert!(named.len() > 1, "{file}");
        for name in named {
            let name = name.trim_end_matches([':', '.']);
            assert!(settings.contains(name), "{file}: {name}");
        }
        let images = beginning(&text, "cheesewire:0").len() + beginning(&text, "cheesewire:1").len();
        assert_eq!(images, 1, "{file}");
        assert!(text.contains(concat!("cheesewire:", env!("CARGO_PKG_VERSION"), "\n")), "{file}");
        assert!(text.contains("/var/lib/cheesewire\n") && text.contains("3141"), "{file}");
    }
    // The image's user, to whom the disk is given.
    let user = "USER = 3141\n";
    assert!(text("container/image.py").contains(user));
    for field in ["runAsUser: 3141", "runAsGroup: 3141", "fsGroup: 3141"] {
        assert!(text(KUBERNETES).contains(field), "{field}");
    }
}

/// Fails for what is no YAML, for what Kubernetes' schemas do not know, and for names that lead nowhere.
const READ: &str = r#"
import sys, yaml, kubernetes_validate
kubernetes, compose = (list(yaml.safe_load_all(open(path))) for path in sys.argv[1:])
assert {document["kind"] for document in kubernetes} == {"Service", "StatefulSet"}
for document in kubernetes:
    kubernetes_validate.validate(document, "1.31", strict=True)
service, workload = kubernetes
pod = workload["spec"]["template"]
assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
assert workload["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
[container] = pod["spec"]["containers"]
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
probes = [container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
assert all(probe["port"] in ports for probe in probes)
assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
claims = {claim["metadata"]["name"] for claim in workload["spec"]["volumeClaimTemplates"]}
assert {mount["name"] for mount in container["volumeMounts"]} == claims
[compose] = compose
[(name, service)] = compose["services"].items()
known = {"image", "environment", "ports", "volumes", "read_only", "cap_drop", "security_opt", "stop_grace_period", "restart"}
assert set(service) == known, set(service) ^ known
assert {volume.split(":")[0] for volume in service["volumes"]} == set(compose["volumes"])
print("read")
"#;

#[tokio::test]
#[ignore = "fetches PyYAML and Kubernetes' schemas"]
async fn their_readers_take_them() {
    let bin = environment(&["pyyaml==6.0.3", "kubernetes-validate==1.37.0"]).await;
    let read = |kubernetes: std::path::PathBuf| {
        let mut command = Command::new(bin.join("python"));
        command.args(["-c", READ]).arg(kubernetes).arg(super::deploy(COMPOSE));
        command
    };
    assert_eq!(run(&mut read(super::deploy(KUBERNETES))).await, "read\n");
    // A field that there is not.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, text(KUBERNETES).replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))
        .unwrap();
    let refused = read(wrong).output().await.unwrap();
    assert!(
        !refused.status.success()
            && String::from_utf8_lossy(&refused.stderr).contains("readOnlyRootFileSystem")
    );
}

/// What `cargo package` takes along has every file that the code includes.
#[tokio::test]
#[ignore = "runs cargo"]
async fn a_package_of_cargos_has_what_is_compiled() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let listed = run(&mut command).await;
    let listed: BTreeSet<_> = listed.lines().collect();
    for file in [
        "Cargo.lock",
        "src/main.rs",
        "src/journal/schema/1.sql",
        "fixtures/graph.toml",
        "fixtures/releases.toml",
        "fixtures/texts.toml",
        "fixtures/states.toml",
        "fixtures/backend.py",
        "deploy/systemd/cheesewire.service",
        "LICENSE-MIT",
    ] {
        assert!(listed.contains(file), "{file}");
    }
    assert!(listed.iter().all(|file| !file.starts_with("tests/") && !file.starts_with("fixtures/requests")));
}
