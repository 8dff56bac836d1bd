"""Files that last: content-addressed artifacts with manifests, durable writes, paths that stay inside the workspace.

Torch-free and database-free. Which artifacts are published is decided by the job catalogue, one layer up.
"""
