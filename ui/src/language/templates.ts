// The query templates: the list of InfluxDB's own page, with the operations guide's queries in front. A word in
// «» is what the person fills in: it is selected when the template is taken.

/** A template in the menu. */
export interface Template {
  label: string;
  text: string;
}

/** Templates in groups, as the menu shows them. */
export const TEMPLATES: readonly (readonly [group: string, templates: readonly Template[]])[] = [
  [
    'Look',
    [
      { label: 'Show measurements', text: 'SHOW MEASUREMENTS' },
      { label: 'Last 100 points', text: 'select * from «cpu» order by time desc limit 100' },
      { label: 'Show tag keys', text: 'SHOW TAG KEYS FROM "«measurement»"' },
      { label: 'Show tag values', text: 'SHOW TAG VALUES FROM "«measurement»" WITH KEY = "«tag»"' },
      { label: 'Show field keys', text: 'SHOW FIELD KEYS FROM "«measurement»"' },
      { label: 'Show series', text: 'SHOW SERIES FROM "«measurement»" LIMIT 100' },
    ],
  ],
  [
    'Databases',
    [
      { label: 'Show databases', text: 'SHOW DATABASES' },
      { label: 'Create database', text: 'CREATE DATABASE "«name»"' },
      { label: 'Drop database', text: 'DROP DATABASE "«name»"' },
    ],
  ],
  [
    'Retention policies',
    [
      { label: 'Show retention policies', text: 'SHOW RETENTION POLICIES ON "«database»"' },
      {
        label: 'Create retention policy',
        text: 'CREATE RETENTION POLICY "«name»" ON "«database»" DURATION 30d REPLICATION 1 DEFAULT',
      },
      { label: 'Drop retention policy', text: 'DROP RETENTION POLICY "«name»" ON "«database»"' },
    ],
  ],
  [
    'Continuous queries',
    [
      { label: 'Show continuous queries', text: 'SHOW CONTINUOUS QUERIES' },
      {
        label: 'Create continuous query',
        text: 'CREATE CONTINUOUS QUERY "«name»" ON "«database»" BEGIN SELECT mean("«field»") INTO "«target»" FROM "«measurement»" GROUP BY time(5m) END',
      },
      { label: 'Drop continuous query', text: 'DROP CONTINUOUS QUERY "«name»" ON "«database»"' },
    ],
  ],
  [
    'Users',
    [
      { label: 'Show users', text: 'SHOW USERS' },
      { label: 'Create user', text: `CREATE USER "«name»" WITH PASSWORD '«password»'` },
      { label: 'Create admin user', text: `CREATE USER "«name»" WITH PASSWORD '«password»' WITH ALL PRIVILEGES` },
      { label: 'Drop user', text: 'DROP USER "«name»"' },
    ],
  ],
  [
    'Server',
    [
      { label: 'Show stats', text: 'SHOW STATS' },
      { label: 'Show diagnostics', text: 'SHOW DIAGNOSTICS' },
    ],
  ],
];

/** A template's text without its marks, and the range of its first blank. */
export function fill(text: string): { text: string; start: number; end: number } {
  const plain = text.replace(/[«»]/g, '');
  const start = text.indexOf('«');
  if (start < 0) return { text: plain, start: plain.length, end: plain.length };
  return { text: plain, start, end: text.indexOf('»') - 1 };
}
