"""Reads what Prometheus reads, as strictly as its own checker: the text format
of exposition, version 0.0.4."""

from __future__ import annotations

import re

TYPE = 'text/plain; version=0.0.4; charset=utf-8'

_NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
_SAMPLE = re.compile(
    rf'({_NAME})(?:{{((?:{_LABEL},?)*)}})? (-?[0-9.]+(?:e[-+]?[0-9]+)?)'
)
#: what a name says of its unit, by which it should end
_UNITS = ('bytes', 'seconds')

Labels = frozenset[tuple[str, str]]


def parse(text: str) -> dict[str, dict[Labels, float]]:
    """Return the samples by metric and labels; fails of what Prometheus, or
    who reads its figures, would stumble over."""
    assert text.endswith('\n')
    found: dict[str, dict[Labels, float]] = {}
    types: dict[str, str] = {}
    helps: set[str] = set()
    for line in text.splitlines():
        if line.startswith('#'):
            _hash, word, name, rest = line.split(' ', 3)
            assert re.fullmatch(_NAME, name), line
            assert name not in found, f'{line}: comes after its samples'
            if word == 'HELP':
                assert name not in helps, line
                helps.add(name)
            else:
                assert word == 'TYPE', line
                assert rest in ('counter', 'gauge'), line
                assert name not in types, line
                types[name] = rest
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, f'no sample: {line}'
        name = match[1]
        assert name in types, f'{line}: no type'
        assert name in helps, f'{line}: no help'
        assert (types[name] == 'counter') == name.endswith('_total'), line
        for unit in _UNITS:
            assert unit not in name or name.endswith(f'_{unit}'), line
        # all samples of a metric stand together
        assert name not in found or name == [*found][-1], line
        labels = frozenset(
            (key, re.sub(r'\\(.)', _unescaped, value))
            for key, value in re.findall(_LABEL, match[2] or '')
        )
        samples = found.setdefault(name, {})
        assert labels not in samples, f'{line}: twice'
        samples[labels] = float(match[5])
    assert set(types) == helps == set(found)
    return found


def _unescaped(match: re.Match[str]) -> str:
    return '\n' if match[1] == 'n' else match[1]


def values(text: str) -> dict[str, float]:
    """Return what the metrics of one store are, by their names without what
    all begin with, those with a ``kind`` as ``NAME.KIND``."""
    result = {}
    for name, samples in parse(text).items():
        for labels, value in samples.items():
            kind = dict(labels).get('kind')
            key = f'{name}.{kind}' if kind else name
            result[key.removeprefix('hg_bundlestore_')] = value
    return result
