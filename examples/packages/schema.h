/* The database's tables. Names are kept once, as numbers, since a name may be a package, a virtual
 * package that others provide, or something that is only ever mentioned. */
#ifndef PACKAGES_SCHEMA_H
#define PACKAGES_SCHEMA_H

#define SCHEMA_VERSION 1

static const char schema_tables[] =
    "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
    "CREATE TABLE package ("
    "  id INTEGER PRIMARY KEY REFERENCES name,"
    "  version TEXT, architecture TEXT, section TEXT, priority TEXT, maintainer TEXT,"
    "  homepage TEXT, installed_kib INTEGER, download_bytes INTEGER,"
    "  synopsis TEXT NOT NULL, description TEXT,"
    "  dependents INTEGER NOT NULL DEFAULT 0);"
    /* One row per alternative; by package here, by target in the index below. */
    "CREATE TABLE relation ("
    "  package INTEGER, kind INTEGER, place INTEGER, alternative INTEGER,"
    "  target INTEGER NOT NULL REFERENCES name, restriction TEXT,"
    "  PRIMARY KEY (package, kind, place, alternative)) WITHOUT ROWID;"
    "CREATE TABLE provide (target INTEGER, package INTEGER, PRIMARY KEY (target, package))"
    "  WITHOUT ROWID;"
    /* What was edited, in order: see pages.c for what reads it. */
    "CREATE TABLE edit (sequence INTEGER PRIMARY KEY AUTOINCREMENT, package INTEGER NOT NULL);";

/* Made after the rows: sorting once is cheaper than keeping an order half a million times. There is
 * no ANALYZE: with its figures SQLite 3.40 builds a Bloom filter of all relations for each closure,
 * which takes a hundred times as long as the closure. */
static const char schema_indexes[] =
    "CREATE INDEX relation_by_target ON relation (target, package, kind);"
    "CREATE INDEX provide_by_package ON provide (package, target);"
    "UPDATE package SET dependents = (SELECT count(DISTINCT relation.package) FROM relation"
    "  WHERE target = package.id AND kind < 2);"
    "CREATE INDEX package_by_dependents ON package (dependents);";

#endif
