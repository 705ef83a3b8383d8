#!/usr/bin/env python3
"""Writes the answers of the stories in this directory anew, from a running InfluxDB 1.x.

usage: record.py http://127.0.0.1:8086 [FILE ...]

The database `db` of that server is dropped. See ../golden.rs for the form of a story.
"""
import json, pathlib, sys, urllib.parse, urllib.request, urllib.error


def call(url, data=None):
    try:
        return urllib.request.urlopen(url, data).read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def ask(base, statement):
    query = urllib.parse.urlencode({'db': 'db', 'epoch': 'ns', 'q': statement})
    return call(f'{base}/query', query.encode())


def record(base, path):
    ask(base, 'DROP DATABASE db')
    ask(base, 'CREATE DATABASE db')
    out = []
    for line in path.read_text().splitlines():
        if line.startswith('{"'):
            continue
        out.append(line)
        if line.startswith('> '):
            out.append(ask(base, line[2:]).strip())
        elif line and not line.startswith('# '):
            answer = call(f'{base}/write?db=db', line.encode())
            assert not answer, f'{path.name}: {line}: {answer}'
    path.write_text('\n'.join(out) + '\n')


base, *files = sys.argv[1:]
here = pathlib.Path(__file__).parent
for path in map(pathlib.Path, files or sorted(here.glob('*.txt'))):
    record(base, path)
