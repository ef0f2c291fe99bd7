# Runs cases given as JSON on stdin, prints the outcomes as JSON.
import importlib, json, os, sys

sqlite3 = importlib.import_module(os.environ.get("PAYRECOND_TEST_SQLITE_MODULE", "sqlite3"))


def value(given):
    if isinstance(given, dict):
        return bytes.fromhex(given["blob"])
    return given


def run(case):
    connection = sqlite3.connect(case["file"], isolation_level=None)
    try:
        if case["before"]:
            connection.executescript(case["before"])
        try:
            connection.execute(case["sql"], [value(p) for p in case.get("params", [])]).fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            return {"error": str(error)}
        row = connection.execute(case["ask"]).fetchone()
        text = None if row is None or row[0] is None else str(row[0])
        return {"given": text}
    finally:
        connection.close()


print(json.dumps([run(case) for case in json.load(sys.stdin)]))
