//! How fast manifests are loaded: 1,000 instances in four files, on one thread.
//!
//! `cargo bench --bench load`. `simple` is the style that needs no parser; `parsed` has one block text in each document.

use std::{hint::black_box, num::NonZeroUsize};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reconcile::{
    manifest::{Discovery, Options, Retain, Targets, Variables, decode_with},
    platform,
    source::Sources,
};

const FILES: usize = 4;
const DOCUMENTS: usize = 250;

fn document(number: usize, description: &str) -> String {
    format!(
        "---\napiVersion: bk-cmdb/v1\nkind: Instance\nmetadata:\n  name: device-{number}\n  labels: {{site: sz}}\nspec:\n  \
         model: bk_switch\n  ensure: present\n  match:\n    bk_inst_name: device {number}\n  fields:\n    room: 机房 3\n    \
         units: {}\n    vendor: Huawei Technologies\n    serial: \"SN{number:012}\"\n    mgmt_ip: 10.0.0.1\n    \
         description: {description}\n",
        number % 48 + 1
    )
}

fn load(criterion: &mut Criterion) {
    let targets: Targets = [("cmdb", "bk-cmdb", true)].into_iter().collect();
    let mut group = criterion.benchmark_group("load 1,000 documents");
    group.sample_size(20);
    for (style, description) in [("simple", "a device of the data centre"), ("parsed", "|\n      a device")] {
        let mut sources = Sources::default();
        let text = |file| (0..DOCUMENTS).map(|at| document(file * DOCUMENTS + at, description)).collect::<String>();
        let files: Vec<_> = (0..FILES).map(|file| sources.add(format!("{file}.yaml"), text(file))).collect();
        let bytes: usize = files.iter().map(|file| sources.text(*file).len()).sum();
        let found = Discovery { files, ..Discovery::default() };
        group.throughput(Throughput::Bytes(bytes as u64));
        for (name, retain) in [("objects", Retain::Objects), ("addresses", Retain::Addresses)] {
            let without_places = retain == Retain::Addresses;
            let options = Options { threads: Some(NonZeroUsize::MIN), retain, without_places };
            group.bench_function(format!("{style}, {name}"), |bencher| {
                bencher.iter(|| {
                    let variables = Variables::default();
                    let (set, problems) =
                        decode_with(&options, black_box(&sources), &found, platform::ALL, &targets, &variables);
                    assert!(set.desired.len() == FILES * DOCUMENTS && problems.is_empty(), "{problems:?}");
                    set
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, load);
criterion_main!(benches);
