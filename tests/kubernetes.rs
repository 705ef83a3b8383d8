//! The manifests of `deploy/kubernetes` hold together: each object has fields that Kubernetes knows, of the type that it
//! wants; what one names, another is; and what the containers are told, the program takes.
//!
//! No cluster is asked. The table below has the part of Kubernetes' schema (v1, apps/v1) that the manifests use: a field
//! that it does not list is a mistake, or a line to be added after a look into the reference.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use common::tool;
use yaml_rust2::{Yaml, YamlLoader};

/// What stands at a place: `s` text, `i` a whole number, `b` yes or no, `m` names with texts, `o` an object.
const POD: &[(&str, char)] = &[
    ("hostPID", 'b'),
    ("tolerations[].operator", 's'),
    ("terminationGracePeriodSeconds", 'i'),
    ("securityContext.runAsNonRoot", 'b'),
    ("securityContext.runAsUser", 'i'),
    ("securityContext.runAsGroup", 'i'),
    ("securityContext.fsGroup", 'i'),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight",
        'i',
    ),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector.matchLabels",
        'm',
    ),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.topologyKey",
        's',
    ),
    ("containers[].name", 's'),
    ("containers[].image", 's'),
    ("containers[].args[]", 's'),
    ("containers[].env[].name", 's'),
    ("containers[].env[].value", 's'),
    ("containers[].env[].valueFrom.secretKeyRef.name", 's'),
    ("containers[].env[].valueFrom.secretKeyRef.key", 's'),
    ("containers[].env[].valueFrom.fieldRef.fieldPath", 's'),
    ("containers[].ports[].containerPort", 'i'),
    ("containers[].readinessProbe.httpGet.path", 's'),
    ("containers[].readinessProbe.httpGet.port", 'i'),
    ("containers[].readinessProbe.periodSeconds", 'i'),
    ("containers[].livenessProbe.httpGet.path", 's'),
    ("containers[].livenessProbe.httpGet.port", 'i'),
    ("containers[].livenessProbe.periodSeconds", 'i'),
    ("containers[].livenessProbe.failureThreshold", 'i'),
    ("containers[].resources.requests", 'm'),
    ("containers[].resources.limits", 'm'),
    ("containers[].securityContext.runAsUser", 'i'),
    ("containers[].securityContext.allowPrivilegeEscalation", 'b'),
    ("containers[].securityContext.readOnlyRootFilesystem", 'b'),
    ("containers[].securityContext.capabilities.drop[]", 's'),
    ("containers[].volumeMounts[].name", 's'),
    ("containers[].volumeMounts[].mountPath", 's'),
    ("containers[].volumeMounts[].mountPropagation", 's'),
    ("containers[].volumeMounts[].readOnly", 'b'),
    ("volumes[].name", 's'),
    ("volumes[].hostPath.path", 's'),
    ("volumes[].hostPath.type", 's'),
    ("volumes[].emptyDir", 'o'),
];
const COMMON: &[(&str, char)] = &[
    ("apiVersion", 's'),
    ("kind", 's'),
    ("metadata.name", 's'),
    ("metadata.namespace", 's'),
];
const SERVICE: &[(&str, char)] = &[
    ("spec.selector", 'm'),
    ("spec.clusterIP", 's'),
    ("spec.ports[].name", 's'),
    ("spec.ports[].port", 'i'),
];
const WORKLOAD: &[(&str, char)] = &[
    ("spec.selector.matchLabels", 'm'),
    ("spec.template.metadata.labels", 'm'),
];
const STATEFUL_SET: &[(&str, char)] = &[
    ("spec.serviceName", 's'),
    ("spec.replicas", 'i'),
    ("spec.volumeClaimTemplates[].metadata.name", 's'),
    ("spec.volumeClaimTemplates[].spec.accessModes[]", 's'),
    ("spec.volumeClaimTemplates[].spec.resources.requests", 'm'),
];

/// The fields of an object of a kind.
fn fields(version: &str, kind: &str) -> BTreeMap<String, char> {
    let (tables, has_pods): (&[&[(&str, char)]], bool) = match (version, kind) {
        ("v1", "Namespace") => (&[COMMON], false),
        ("v1", "Service") => (&[COMMON, SERVICE], false),
        ("apps/v1", "StatefulSet") => (&[COMMON, WORKLOAD, STATEFUL_SET], true),
        ("apps/v1", "DaemonSet") => (&[COMMON, WORKLOAD], true),
        other => panic!("no table for {other:?}"),
    };
    let own = tables.iter().copied().flatten();
    let mut all: BTreeMap<String, char> = own
        .map(|(path, kind)| ((*path).to_owned(), *kind))
        .collect();
    if has_pods {
        all.extend(
            POD.iter()
                .map(|(path, kind)| (format!("spec.template.spec.{path}"), *kind)),
        );
    }
    all
}

/// Every place below `value` that is not as `fields` has it.
fn mistakes(value: &Yaml, path: &str, fields: &BTreeMap<String, char>, found: &mut Vec<String>) {
    let is_text = |value: &Yaml| value.as_str().is_some();
    let is_map_of_texts = |value: &Yaml| {
        let mut entries = value.as_hash().into_iter().flatten();
        value.as_hash().is_some() && entries.all(|(key, value)| is_text(key) && is_text(value))
    };
    let is_right = match fields.get(path) {
        Some('s') => value.as_str().is_some_and(|text| !text.is_empty()),
        Some('i') => value.as_i64().is_some(),
        Some('b') => value.as_bool().is_some(),
        Some('m') => is_map_of_texts(value),
        Some('o') => value.as_hash().is_some(),
        _ => match value {
            Yaml::Hash(entries) => {
                for (key, value) in entries {
                    let key = key.as_str().unwrap_or("?");
                    let dot = if path.is_empty() { "" } else { "." };
                    mistakes(value, &format!("{path}{dot}{key}"), fields, found);
                }
                true
            }
            Yaml::Array(items) => {
                for item in items {
                    mistakes(item, &format!("{path}[]"), fields, found);
                }
                true
            }
            _ => false,
        },
    };
    if !is_right {
        found.push(format!("{path}: {value:?}"));
    }
}

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/tandem.yaml");
    std::fs::read_to_string(path).unwrap()
}

fn objects() -> Vec<Yaml> {
    let all = YamlLoader::load_from_str(&text()).unwrap();
    assert!(all.len() > 5);
    all
}

fn items(value: &Yaml) -> &[Yaml] {
    value.as_vec().map_or(&[], Vec::as_slice)
}

fn word(value: &Yaml) -> &str {
    value.as_str().unwrap_or_default()
}

fn of_kind<'a>(all: &'a [Yaml], kind: &str) -> Vec<&'a Yaml> {
    all.iter()
        .filter(|one| word(&one["kind"]) == kind)
        .collect()
}

fn labels(value: &Yaml) -> BTreeMap<String, String> {
    let entries = value.as_hash().into_iter().flatten();
    entries
        .map(|(key, value)| (word(key).to_owned(), word(value).to_owned()))
        .collect()
}

/// What starts pods.
fn workloads(all: &[Yaml]) -> Vec<&Yaml> {
    [of_kind(all, "StatefulSet"), of_kind(all, "DaemonSet")].concat()
}

/// Each container with the object that starts it.
fn containers(all: &[Yaml]) -> Vec<(&Yaml, &Yaml)> {
    let mut found = Vec::new();
    for one in workloads(all) {
        let containers = items(&one["spec"]["template"]["spec"]["containers"]);
        found.extend(containers.iter().map(|container| (one, container)));
    }
    found
}

fn ports(container: &Yaml) -> BTreeSet<i64> {
    let ports = items(&container["ports"]).iter();
    ports
        .filter_map(|port| port["containerPort"].as_i64())
        .collect()
}

#[test]
fn every_field_is_one_that_kubernetes_has() {
    let mut names = BTreeSet::new();
    for object in objects() {
        let (version, kind) = (word(&object["apiVersion"]), word(&object["kind"]));
        let mut found = Vec::new();
        mistakes(&object, "", &fields(version, kind), &mut found);
        let name = word(&object["metadata"]["name"]);
        assert!(found.is_empty(), "{kind} {name}: {found:#?}");
        assert!(
            names.insert((kind.to_owned(), name.to_owned())),
            "{kind} {name} twice"
        );
        if kind != "Namespace" {
            assert_eq!(
                word(&object["metadata"]["namespace"]),
                "monitoring",
                "{name}"
            );
        }
    }
}

#[test]
fn a_field_that_is_not_there_or_of_another_type_is_found() {
    let wrong = "{apiVersion: v1, kind: Service, metadata: {name: a, namspace: b}, spec: {ports: [{port: \"80\"}]}}";
    let object = YamlLoader::load_from_str(wrong).unwrap().remove(0);
    let mut found = Vec::new();
    mistakes(&object, "", &fields("v1", "Service"), &mut found);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("metadata.namspace"));
    assert!(found[1].starts_with("spec.ports[].port"));
}

#[test]
fn services_lead_to_containers_that_listen_there() {
    let all = objects();
    for service in of_kind(&all, "Service") {
        let name = word(&service["metadata"]["name"]);
        let selector = labels(&service["spec"]["selector"]);
        let chosen: Vec<_> = containers(&all)
            .into_iter()
            .filter(|(one, _)| {
                let own = labels(&one["spec"]["template"]["metadata"]["labels"]);
                selector
                    .iter()
                    .all(|(key, value)| own.get(key) == Some(value))
            })
            .collect();
        assert_eq!(chosen.len(), 1, "{name} chooses by {selector:?}");
        for port in items(&service["spec"]["ports"]) {
            let port = port["port"].as_i64().unwrap();
            assert!(
                ports(chosen[0].1).contains(&port),
                "{name}: nobody listens on {port}"
            );
        }
    }
}

#[test]
fn workloads_choose_their_own_pods_services_volumes_and_ports() {
    let all = objects();
    let services: Vec<&str> = of_kind(&all, "Service")
        .iter()
        .map(|service| word(&service["metadata"]["name"]))
        .collect();
    for one in workloads(&all) {
        let name = word(&one["metadata"]["name"]);
        let own = labels(&one["spec"]["template"]["metadata"]["labels"]);
        let chosen = labels(&one["spec"]["selector"]["matchLabels"]);
        assert!(
            !chosen.is_empty() && chosen.iter().all(|(k, v)| own.get(k) == Some(v)),
            "{name}"
        );
        if word(&one["kind"]) == "StatefulSet" {
            assert!(
                services.contains(&word(&one["spec"]["serviceName"])),
                "{name}"
            );
        }
    }
    for (one, container) in containers(&all) {
        let name = word(&one["metadata"]["name"]);
        let claims = items(&one["spec"]["volumeClaimTemplates"]).iter();
        let volumes = items(&one["spec"]["template"]["spec"]["volumes"]).iter();
        let there: BTreeSet<&str> = claims
            .map(|claim| word(&claim["metadata"]["name"]))
            .chain(volumes.map(|volume| word(&volume["name"])))
            .collect();
        let mounts = items(&container["volumeMounts"]).iter();
        let used: BTreeSet<&str> = mounts.map(|mount| word(&mount["name"])).collect();
        assert_eq!(
            used, there,
            "{name}: volumes that are used, and that there are"
        );
        for probe in ["readinessProbe", "livenessProbe"] {
            if let Some(port) = container[probe]["httpGet"]["port"].as_i64() {
                assert!(ports(container).contains(&port), "{name}: {probe}");
            }
        }
    }
}

#[test]
fn secrets_are_those_that_the_first_lines_make() {
    let all = objects();
    let text = text();
    let made = text
        .lines()
        .find(|line| line.contains("create secret generic tandem"))
        .expect("the command that makes the secret");
    let mut used = BTreeSet::new();
    for (one, container) in containers(&all) {
        for variable in items(&container["env"]) {
            let secret = &variable["valueFrom"]["secretKeyRef"];
            if let (Some(name), Some(key)) = (secret["name"].as_str(), secret["key"].as_str()) {
                assert_eq!(name, "tandem", "{}", word(&one["metadata"]["name"]));
                assert!(made.contains(&format!("--from-literal={key}=")), "{key}");
                used.insert(key.to_owned());
            }
        }
    }
    assert_eq!(used.len(), made.matches("--from-literal=").count());
}

#[test]
fn containers_are_told_what_the_program_takes() {
    let all = objects();
    let home = tempfile::tempdir().unwrap();
    let mut addresses = BTreeSet::new();
    for service in of_kind(&all, "Service") {
        let name = word(&service["metadata"]["name"]);
        for port in items(&service["spec"]["ports"]) {
            addresses.insert(format!("{name}:{}", port["port"].as_i64().unwrap()));
        }
    }
    for (one, container) in containers(&all) {
        let name = word(&one["metadata"]["name"]);
        let arguments: Vec<&str> = items(&container["args"]).iter().map(word).collect();
        // All before it is read first, and must be understood.
        let said = tool::good(home.path(), &[&arguments[..], &["--help"]].concat());
        assert!(said.contains("Usage: tandem "), "{name}: {said}");
        let known: BTreeSet<&str> = items(&container["env"])
            .iter()
            .map(|variable| word(&variable["name"]))
            .collect();
        for argument in &arguments {
            for rest in argument.split("$(").skip(1) {
                let (variable, _) = rest.split_once(')').expect("the end of a variable");
                assert!(known.contains(variable), "{name}: {argument}");
            }
            if let Some((_, address)) = argument.split_once("http://") {
                let address = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
                assert!(
                    addresses.contains(address),
                    "{name}: there is no service {address}"
                );
            }
        }
        let ours = known.iter().filter(|name| name.starts_with("TANDEM_"));
        let values = ours.map(|name| {
            (
                *name,
                if name.ends_with("_ENABLED") {
                    "true"
                } else {
                    "some"
                },
            )
        });
        let output = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .arg("check-config")
            .current_dir(home.path())
            .envs(values)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}
