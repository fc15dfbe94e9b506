"""What is measured on one document: kernels over Arrow buffers. No SparkSession, no files of the data set, no configuration."""
