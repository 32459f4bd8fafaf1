# Process start -> replica of Logical_Switch_Port by OVS's Python IDL -> one find by name. Arguments: REMOTE NAME SCHEMA.
import sys

import ovs.db.idl
import ovs.json
import ovs.poller

assert ovs.json.PARSER == "C", "the C JSON parser (python3-openvswitch's _json) is not loaded"
remote, name, schema = sys.argv[1:]
helper = ovs.db.idl.SchemaHelper(schema)
helper.register_table("Logical_Switch_Port")
idl = ovs.db.idl.Idl(remote, helper)
while not idl.has_ever_connected():
    idl.run()
    if not idl.has_ever_connected():
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.block()
print([row.uuid for row in idl.tables["Logical_Switch_Port"].rows.values() if row.name == name])
