"""Pinned public addresses of the data files and the git blob ids they must have."""

import hashlib
from dataclasses import dataclass

_RAW = "https://raw.githubusercontent.com"
_CROWS_PAIRS = f"{_RAW}/nyu-mll/crows-pairs/8aaac11c485473159ec9328a65253a5be9a479dc"
_BIAS_BENCH = f"{_RAW}/McGill-NLP/bias-bench/291426aab926f78ecfc7bd040b531429ee8123e0"
_EXAMPLES = f"{_RAW}/pytorch/examples/37ce9402ff0cae48d764d7788810fd2ed8238b25"

# `git ls-tree` order: blob id, file name without .jsonl. Each file is one pretty-printed object.
_SEAT = """
6554ac9adb262573410533208ed673d74fcac25f angry_black_woman_stereotype
152825821fa0b45b7ab424618771d4135ce47e9d angry_black_woman_stereotype_b
4481b60da98a7858dfc3ef2d9450375974205fb7 heilman_double_bind_competent_1+3-
13adf4a7001abb80a3034a748b61c209a946485f heilman_double_bind_competent_1-
f5bad31c14762f04823e0a0df6163a12d936394f heilman_double_bind_competent_1
294b4a95e727c3fa929725dcc230d6d5cd5cf6e2 heilman_double_bind_competent_one_sentence
dc38c3caedb3ff8ae8946a9dc5e80e6985161835 heilman_double_bind_competent_one_word
0b3bbcd6cae36c5a7984f66a06ce1e1726f5cbdb heilman_double_bind_likable_1+3-
86460bab24586f0439b0bffc101d44ba4853e261 heilman_double_bind_likable_1-
e3aa219ffdce474c1288d14fe5c99887a227e1f3 heilman_double_bind_likable_1
169864901c75cf01d7c09fa399aecd18c1df99f1 heilman_double_bind_likable_one_sentence
ecaebc6273105bb00d18604a552cff18f80ba95c heilman_double_bind_likable_one_word
0cd59355397684a2000429bd99d15533187bf8fc sent-angry_black_woman_stereotype
045bd494d096a178483589f1da0998f23bf547a5 sent-angry_black_woman_stereotype_b
369208919a56e4cfe2ba6e67f9b2a4aa502cde3c sent-heilman_double_bind_competent_one_word
985c7bb9f76c15993e16e56bc84a6926ca0b32a2 sent-heilman_double_bind_likable_one_word
549a625d3a83576bfc4715b65edd55aed9a7c4de sent-religion1
33791636afe29ef81654b9e2c27e298225cadb40 sent-religion1b
ea82183c2824aab39d97270cf0ae2d20cf0b3f70 sent-religion2
de8a9355fec387cdea281ca1e4c0621c9d0dca84 sent-religion2b
b5540acd24f08916b5ee96e77a3486d7198e36b8 sent-weat1
90378f3b3801568a12b55faac43a0484585a2133 sent-weat10
06b36d45d8c0163ea48b3659a40cd7e37b88b237 sent-weat2
024aae534ded806545ae5988ccd5776e2c61ceec sent-weat3
dee8200effc84af8fa2d99364096df307e8e74ab sent-weat3b
bc39588cb8335e91fe0639a7765bbdd5a87a1006 sent-weat4
e23c1d47df1b2b8dcaa3b12474225c0215d0e681 sent-weat5
3f23e4111ce2fa810fb771b4552a296725e16eb6 sent-weat5b
c660180fc6a9dc0fc1728bbc751c1f44aa4e48b8 sent-weat6
154ccd578c838e0dc164a1a6b3838b1b3666a75f sent-weat6b
1e08adae409745390516084f8b2bdd041a4d4359 sent-weat7
89550cf58ba94a61fdb29ec3e445de13cfb2c002 sent-weat7b
5f8117507cdd93b09016612a06e6be4fe163310c sent-weat8
4ce2f157faa2289af93a33884a4fab4d5bed4c41 sent-weat8b
3d209b756889856ce20f4fc9e50c433e56136487 sent-weat9
18f8da1807511c659c9022d5612b1b7f2eb8d752 weat1
42dd8dceb333287b9b8f0afc446243cedab31d08 weat10
6dcbf1dcc2fdfdb5f68e99c44154b767608eca18 weat2
0f3cf93b9e912f859f4f96ba69b1203ba828ff9d weat3
fe4ebda942b8b2fd7a355257711bab04512add38 weat3b
474c638b7af31c8f09604e8d69526de42ea5e241 weat4
cc1cda4076507916d7d88c907cd13f6ab71333dd weat5
195ed24c2134ebf77d08d2623e8549f8838106be weat5b
4aa31fd52cb2c2deed052a6ff5bf0088a0a7946c weat6
9f553a9140744fc16e583a9544b43aca6147cc30 weat6b
e2f0d3e435d5c10925628c2fda790ff238b1f9f4 weat7
29d23060ad65b846abd92171513c85ace9f858f0 weat7b
1137bc74c27665ed066d43cba7b4031e56dda2c9 weat8
5da56c98e43c35c72b6969e423c8a2e253a605a9 weat8b
af4216d0d2c22f1083f9a98264ab0ecfa48f9b53 weat9
"""


@dataclass(frozen=True, slots=True)
class Source:
    """One public file.

    Attributes:
        layout: Its path in a data root ("stereoset/dev.json").
        address: Its public address, at a fixed commit.
        git_blob: The id git gives its content at that commit (40 hex digits).
    """

    layout: str
    address: str
    git_blob: str


def _table() -> dict[str, Source]:
    files = [
        Source(
            "crows_pairs/crows_pairs_anonymized.csv",
            f"{_CROWS_PAIRS}/data/crows_pairs_anonymized.csv",
            "28fa7d906a83d441001fb2a0eeae28c6d64a99e1",
        ),
        Source(
            "stereoset/test.json",
            f"{_BIAS_BENCH}/data/stereoset/test.json",
            "dc0204cca28144732f14cb2466ffdb87c86ca5ec",
        ),
        Source(
            "stereoset/dev.json",
            f"{_BIAS_BENCH}/data/stereoset/dev.json",
            "637b1e3d284a3c629b74a4659c583b8eca9bd13e",
        ),
    ]
    for line in _SEAT.strip().splitlines():
        blob, name = line.split()
        # "+" is legal in an address's path, but some servers read it as a space.
        address = f"{_BIAS_BENCH}/data/seat/{name.replace('+', '%2B')}.jsonl"
        files.append(Source(f"seat/{name}.jsonl", address, blob))
    wikitext = f"{_EXAMPLES}/word_language_model/data/wikitext-2/valid.txt"
    blob = "eec944eb2d9e46061cd34a6913528797db6842fc"
    files.append(Source("wikitext2/valid.txt", wikitext, blob))
    return {file.layout: file for file in files}


SOURCES: dict[str, Source] = _table()
"""Every file that can be downloaded, by its path in a data root."""


def git_blob(content: bytes) -> str:
    """Compute the id git gives this content: what the pins in `SOURCES` are compared with."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
