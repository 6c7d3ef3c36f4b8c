DROP TABLE provisioned;
DROP TABLE pbx_lines;
