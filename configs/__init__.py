"""Values: front ends and jobs as YAML, shipped with the package."""
