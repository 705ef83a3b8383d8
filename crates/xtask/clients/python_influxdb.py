#!/usr/bin/env python3
"""Writes and queries with Python's package `influxdb`, unchanged.

usage: python_influxdb.py PRIMARY RELAY BACKUP GUARDED, each HOST:PORT

GUARDED is a store with authentication, whose admin is `root` with the password `s3cret`.

Prints `ok  WHAT` for each check and ends with 0 when all hold. What it makes it drops again.
"""
import sys
import time
import urllib.error
import urllib.request

import pandas
from influxdb import DataFrameClient, InfluxDBClient, SeriesHelper
from influxdb.exceptions import InfluxDBClientError

DATABASE = 'tandem_python'
WAIT_S = 30


def client(address, database=DATABASE, kind=InfluxDBClient, **options):
    host, port = address.rsplit(':', 1)
    return kind(host=host, port=int(port), database=database, timeout=20, **options)


def equal(what, got, want):
    if got != want:
        sys.exit(f'not ok  {what}\n  got  {got!r}\n  want {want!r}')
    print(f'ok  {what}', flush=True)


def refused(what, code, words, call):
    try:
        got = call()
    except InfluxDBClientError as error:
        if error.code != code or words not in str(error):
            sys.exit(f'not ok  {what}: got {error.code} {error}')
        print(f'ok  {what}', flush=True)
    else:
        sys.exit(f'not ok  {what}: it was taken: {got!r}')


def awaited(what, call, want):
    deadline = time.monotonic() + WAIT_S
    while (got := call()) != want and time.monotonic() < deadline:
        time.sleep(0.1)
    equal(what, got, want)


def main(primary, relay, backup, guarded):
    db = client(primary)
    equal('ping tells the version', db.ping(), '1.8.10')
    equal('telegraf is there', {'name': 'telegraf'} in db.get_list_database(), True)
    gathered = client(primary, 'telegraf').query('select last(usage_idle) from cpu').get_points()
    equal('the agent writes cpu', len(list(gathered)), 1)

    db.create_database(DATABASE)
    try:
        checks(db, primary, relay, backup)
    finally:
        db.drop_database(DATABASE)
        client(backup).drop_database(DATABASE)
    passwords(guarded)
    equal('the database is gone', {'name': DATABASE} in db.get_list_database(), False)


def passwords(guarded):
    def sign(name, password):
        return client(guarded, username=name, password=password)

    root = sign('root', 's3cret')
    root.create_database(DATABASE)
    root.create_user('bob', 'b0b')
    bob = sign('bob', 'b0b')
    write = lambda: bob.write_points(['m v=1 1'], protocol='line')
    read = lambda: list(bob.query('select v from m', epoch='ns').get_points())
    refused('no password is 401', 401, 'authorization failed', lambda: client(guarded).get_list_database())
    refused('a wrong password is 401', 401, 'authorization failed', lambda: sign('root', 'x').get_list_database())
    refused('no right is 403', 403, 'user is not authorized to write to database', write)
    root.grant_privilege('write', DATABASE, 'bob')
    equal('a right to write', write(), True)
    refused('is none to read', 403, 'requires READ on', read)
    root.grant_privilege('all', DATABASE, 'bob')
    equal('a right to read', read(), [{'time': 1, 'v': 1}])
    equal('rights are listed', root.get_list_privileges('bob'), [{'database': DATABASE, 'privilege': 'ALL PRIVILEGES'}])
    users = [(user['user'], user['admin']) for user in root.get_list_users()]
    equal('users are listed', users, [('root', True), ('bob', False)])
    root.drop_user('bob')
    root.drop_database(DATABASE)


def checks(db, primary, relay, backup):
    points = [
        {'measurement': 'm', 'tags': {'host': 'a b'}, 'time': 1_000_000_000,
         'fields': {'f': 1.5, 'i': 3, 's': 'say "hi", then', 'b': True}},
        {'measurement': 'm', 'tags': {'host': 'c,d=e'}, 'time': '1970-01-01T00:00:02Z', 'fields': {'f': -2.5}},
    ]
    equal('points are written', db.write_points(points), True)
    got = list(db.query('select * from m', epoch='ns').get_points())
    want = [
        {'time': 1_000_000_000, 'b': True, 'f': 1.5, 'host': 'a b', 'i': 3, 's': 'say "hi", then'},
        {'time': 2_000_000_000, 'b': None, 'f': -2.5, 'host': 'c,d=e', 'i': None, 's': None},
    ]
    equal('they come back as they went', got, want)
    got = list(db.query('select f from m').get_points(tags={'host': 'a b'}))
    equal('columns do not stand for tags', got, [])
    result = db.query('select f from m group by host')
    got = list(result.get_points(tags={'host': 'a b'}))
    equal('times are RFC 3339 by default', got, [{'time': '1970-01-01T00:00:01Z', 'f': 1.5}])
    equal('each series has its tags', [key[1]['host'] for key in result.keys()], ['a b', 'c,d=e'])
    got = db.query('select f from m where host = $host', bind_params={'host': 'c,d=e'}, epoch='s')
    equal('parameters are bound', list(got.get_points()), [{'time': 2, 'f': -2.5}])
    both = db.query('select count(f) from m; select max(f) from m')
    equal('two statements give two results', [len(list(one.get_points())) for one in both], [1, 1])

    many = [{'measurement': 'n', 'time': second, 'fields': {'v': second}} for second in range(1, 2501)]
    equal('batches, in seconds', db.write_points(many, time_precision='s', batch_size=1000), True)
    got = list(db.query('select count(v), sum(v), last(v) from n', epoch='s').get_points())
    equal('all are there', got, [{'time': 0, 'count': 2500, 'sum': 2500 * 2501 // 2, 'last': 2500}])
    windows = db.query('select mean(v) from n where time >= 0s and time < 30s group by time(10s)', epoch='s')
    want = [{'time': 0, 'mean': 5}, {'time': 10, 'mean': 14.5}, {'time': 20, 'mean': 24.5}]
    equal('windows', list(windows.get_points()), want)
    # The client asks for MessagePack, of which it can read one document only; so it is with a real InfluxDB.
    json = client(primary, headers={'Accept': 'application/json'})
    chunked = json.query('select v from n', epoch='s', chunked=True, chunk_size=1000)
    equal('an answer in chunks', [len(list(piece.get_points())) for piece in chunked], [1000, 1000, 500])

    equal('lines are written', db.write_points(['l,k=v x=1 5', 'l,k=v x=2 6'], protocol='line', time_precision='s'), True)
    zipped = client(primary, gzip=True)
    equal('a gzip body', zipped.write_points(['l,k=v x=3 7'], protocol='line', time_precision='s'), True)
    got = [point['x'] for point in db.query('select x from l').get_points()]
    equal('lines are read', got, [1, 2, 3])

    frames = client(primary, kind=DataFrameClient)
    index = pandas.to_datetime([1, 2], unit='s', utc=True)
    frame = pandas.DataFrame({'v': [1.5, 2.5], 'n': [1, 2], 's': ['a', 'b c'], 'room': ['x', 'y']}, index=index)
    equal('a data frame is written', frames.write_points(frame, 'd', tags={'host': 'h'}, tag_columns=['room']), True)
    got = frames.query('select v, n, s, room, host from d')['d']
    equal('it comes back', got.to_dict('list'),
          {'v': [1.5, 2.5], 'n': [1, 2], 's': ['a', 'b c'], 'room': ['x', 'y'], 'host': ['h', 'h']})
    equal('with its times', list(got.index), list(index))
    got = frames.query('select v from d group by room')
    equal('a frame for each group', [(key[1][0][1], list(one['v'])) for key, one in got.items()],
          [('x', [1.5]), ('y', [2.5])])

    class Helper(SeriesHelper):
        class Meta:
            client = db
            series_name = 'helped.{room}'
            fields = ['v']
            tags = ['room']
            bulk_size = 2
            autocommit = True
            time_precision = 's'

    Helper(room='x', v=1, time=1)
    Helper(room='x', v=2, time=2)
    got = [point['v'] for point in db.query('select v from "helped.x"').get_points()]
    equal('a series helper', got, [1, 2])

    names = [entry['name'] for entry in db.get_list_measurements()]
    equal('measurements are listed', names, ['d', 'helped.x', 'l', 'm', 'n'])
    policies = [(policy['name'], policy['default']) for policy in db.get_list_retention_policies(DATABASE)]
    equal('the retention policy is listed', policies, [('autogen', True)])
    got = [point['key'] for point in db.query('show series from l').get_points()]
    equal('series are listed', got, ['l,k=v'])

    refused('a query that does not parse is 400', 400, 'error parsing query: found EOF', lambda: db.query('select'))
    refused('an unknown database is 404', 404, 'database not found: ',
            lambda: client(primary, 'nowhere').write_points(['a b=1'], protocol='line'))
    refused('a malformed line is 400', 400, "unable to parse 'bad'", lambda: db.write_points(['bad'], protocol='line'))
    refused('a field of another type is 400', 400, 'field type conflict',
            lambda: db.write_points(['n v="text" 1'], protocol='line'))
    # The statement is refused, not the request.
    refused('an unknown function is told', None, 'undefined function nothing()',
            lambda: db.query('select nothing(v) from n'))

    client(backup).create_database(DATABASE)
    through = client(relay)
    equal('the relay takes a write', through.write_points(['r,t=x v=7i 42'], protocol='line'), True)
    for name, store in (('primary', primary), ('backup', backup)):
        ask = lambda: list(client(store).query('select * from r', epoch='ns').get_points())
        awaited(f'the {name} has it', ask, [{'time': 42, 't': 'x', 'v': 7}])
    try:
        with urllib.request.urlopen(f'http://{relay}/ping', timeout=20) as answer:
            equal('the relay answers a ping', answer.status, 204)
    except urllib.error.HTTPError as error:
        sys.exit(f'not ok  the relay answers a ping: {error}')


if len(sys.argv) != 5:
    sys.exit(__doc__)
main(*sys.argv[1:])
