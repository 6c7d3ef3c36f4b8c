DROP TABLE ami_links;
